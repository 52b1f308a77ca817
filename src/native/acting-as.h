// One thread makes files in another user's name, with all that the daemon may do.
#pragma once

#include <linux/capability.h>
#include <sys/types.h>

namespace envd {

// For as long as this is in scope, what the thread makes belongs to the user (setfsuid(2)), and the daemon's
// capabilities stay in force where the kernel lets them.
class ActingAs {
 public:
  ActingAs(uid_t uid, gid_t gid);
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;
  ~ActingAs();
  // False: it is the daemon's own user, or one that it cannot act for: without CAP_SETUID, for an id that the user
  // namespace does not have, and where there are no such calls, as in gVisor.
  bool valid() const { return valid_; }

 private:
  bool taken_ = false;
  bool valid_ = false;
  bool capable_ = false;
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct capabilities_[2]{};
};

}  // namespace envd
