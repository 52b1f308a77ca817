// Makes directories and links in directories that others may write. Who may do that can let two names change places at
// any moment, so nothing is given away by its name: what is made belongs to its owner from the first moment on where
// the kernel can do that, and else it is only given away when it is as new as what was made.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <string>

#include "descriptor.h"

namespace envd {

// The owner of what is made; not `given`: the user who makes the call.
struct NewOwner {
  bool given;
  uid_t uid;
  gid_t gid;
};

// The call that failed and its errno; 0: none did.
struct Refused {
  const char* call = "";
  int error = 0;
};

// Makes a directory with a mode less the umask. `mkdir`: nothing was made; `open`, `fchown`: it could not be given to
// its owner, and is removed if it is empty. What has taken its place meanwhile is left alone, which is no failure.
Refused make_directory(int parent, const std::string& name, mode_t mode, const NewOwner& owner);

// A link, its owner and times as they were at one moment.
struct LinkFacts {
  std::string target;
  struct stat status {};
};

// Reads a link. 0, or the errno: EINVAL for what is none.
int read_link(int parent, const std::string& name, LinkFacts& link);

// The same as `make_directory` for a link (`symlink`), with times (accessed, modified) where the kernel can set those of
// links.
Refused make_link(const std::string& target, int parent, const std::string& name, const NewOwner& owner,
                  const timespec* times);

// Makes a directory for the caller alone and opens it. Not valid with errno set: ESTALE where another directory has
// taken its place, which is left alone.
Descriptor make_private_directory(int parent, const std::string& name);

}  // namespace envd
