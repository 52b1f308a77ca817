// A working directory of one thread alone: unshare(2).
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <tuple>

#include "descriptor.h"

namespace envd {

// The working directory of the thread, its own for as long as this is in scope: a watch on "." costs a third of one by
// /proc/self/fd, and is on the open directory as well. Others would hold a filesystem that is to be unmounted.
class OwnWorkingDirectory {
 public:
  OwnWorkingDirectory() {
    // The rest of what the thread shares no more, root directory and umask, nothing here ever changes.
    if (unshare(CLONE_FS) == 0) before_.reset(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  OwnWorkingDirectory(const OwnWorkingDirectory&) = delete;
  OwnWorkingDirectory& operator=(const OwnWorkingDirectory&) = delete;
  // The last resort is where every directory is.
  ~OwnWorkingDirectory() {
    if (before_.valid() && fchdir(before_.get()) < 0) std::ignore = chdir("/");
  }
  // False where it cannot be: the directory may be closed to the daemon, or a filter refuse the calls.
  bool enter(int descriptor) const { return before_.valid() && fchdir(descriptor) == 0; }

 private:
  Descriptor before_;
};

}  // namespace envd
