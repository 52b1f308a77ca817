#include "change-places.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "mounts.h"
#include "same-file.h"

namespace envd {

namespace {

int exchange(int parent, const std::string& made, const std::string& name) {
  return renameat2(parent, made.c_str(), parent, name.c_str(), RENAME_EXCHANGE) < 0 ? errno : 0;
}

Descriptor refused(int error) {
  errno = error;
  return Descriptor();
}

}  // namespace

Descriptor change_places(int parent, const std::string& made, const std::string& name, uid_t owner) {
  Descriptor old = open_entry(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW);
  struct stat before {}, there {};
  if (!old.valid() || fstat(old.get(), &before) < 0) return refused(errno);
  if (before.st_uid != owner) return refused(ESTALE);
  if (const int error = exchange(parent, made, name); error != 0) return refused(error);
  const bool taken = fstatat(parent, made.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && is_same(there, before);
  if (taken) return old;
  // Something else has taken its place just before, or the name just after.
  const int back = exchange(parent, made, name);
  return refused(back != 0 ? back : ESTALE);
}

}  // namespace envd
