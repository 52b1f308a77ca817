#include "acting-as.h"

#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace envd {

namespace {

// The calls report no failure; a call with an invalid id returns the one in force.
bool acts_as(uid_t uid, gid_t gid) {
  return setfsuid(static_cast<uid_t>(-1)) == static_cast<int>(uid) &&
         setfsgid(static_cast<gid_t>(-1)) == static_cast<int>(gid);
}

}  // namespace

ActingAs::ActingAs(uid_t uid, gid_t gid) {
  if (uid == geteuid() || !acts_as(geteuid(), getegid())) return;
  if (syscall(SYS_capget, &header_, capabilities_) < 0) return;
  taken_ = true;
  setfsgid(gid);
  setfsuid(uid);
  valid_ = acts_as(uid, gid);
  // Those of files go with root's user.
  capable_ = valid_ && syscall(SYS_capset, &header_, capabilities_) == 0;
}

ActingAs::~ActingAs() {
  if (!taken_) return;
  setfsuid(geteuid());
  setfsgid(getegid());
  const bool restored = !capable_ || syscall(SYS_capset, &header_, capabilities_) == 0;
  // The thread goes back to the pool: with another user's rights it must not.
  if (!restored || !acts_as(geteuid(), getegid())) abort();
}

}  // namespace envd
