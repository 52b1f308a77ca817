// Opens what is below an open directory, and never leaves it: no link is followed, even if one takes the place of a
// directory meanwhile (openat2(2)).
#pragma once

#include <string>

#include "descriptor.h"
#include "made.h"

namespace envd {

// Opens a path below a directory; empty: itself. Not valid with errno set: ELOOP for a link on the way or at the end,
// EXDEV for a way out, ETIMEDOUT for a mount point at the end whose filesystem does not answer.
Descriptor open_below(int root, const std::string& path, int flags);

// A path below a directory, taken apart.
struct Names {
  std::string directory;
  std::string last;
};

// False with errno set: a path that is empty or absolute, or has a component that is empty, `.` or `..`.
bool split_below(const std::string& path, Names& names);

// Opens (O_PATH) a directory by its path from `split_below`, and makes what is missing of it, 0755 less the umask. Not
// valid with errno set: ELOOP for a link, ENOTDIR, EROFS for a filesystem of the kernel's own.
Descriptor ensure_below(int root, const std::string& directory, const NewOwner& owner);

}  // namespace envd
