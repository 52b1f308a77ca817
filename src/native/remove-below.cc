// By descriptors (openat(2), unlinkat(2)), so that a link that takes a directory's place meanwhile is not followed.
#include "remove-below.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "mounts.h"
#include "same-file.h"

namespace envd {

namespace {

struct Remover {
  const std::atomic<bool>& left;
  Removal removal{};

  // The first failure counts; whatever else can be deleted is.
  void note(const char* call, int error) {
    if (removal.error == 0 && error != ENOENT) removal = {call, error};
  }

  void remove_entry(int directory, const char* name) {
    if (left) return note("unlinkat", ECANCELED);
    if (unlinkat(directory, name, 0) == 0 || errno == ENOENT) return;
    const int refused = errno;
    // A directory is EISDIR on Linux, EPERM by POSIX.
    if (refused != EISDIR && refused != EPERM) return note("unlinkat", refused);
    const int descriptor = open_entry(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK).release();
    if (descriptor < 0) return note("unlinkat", errno == ENOTDIR || errno == ELOOP ? refused : errno);
    remove_contents(descriptor);
    if (left) return note("unlinkat", ECANCELED);
    if (unlinkat(directory, name, AT_REMOVEDIR) < 0) note("unlinkat", errno);
  }

  void remove_opened(int opened, int directory, const char* name) {
    struct stat status {};
    if (fstat(opened, &status) < 0) return note("fstat", errno);
    const bool is_directory = S_ISDIR(status.st_mode);
    if (is_directory) {
      const int descriptor = open_entry(opened, ".", O_RDONLY | O_DIRECTORY | O_NONBLOCK).release();
      if (descriptor < 0) return note("unlinkat", errno);
      remove_contents(descriptor);
    }
    if (left) return note("unlinkat", ECANCELED);
    struct stat there {};
    const bool known = fstatat(directory, name, &there, AT_SYMLINK_NOFOLLOW) == 0;
    if (known && !is_same(there, status)) return note("unlinkat", ESTALE);
    if (unlinkat(directory, name, is_directory ? AT_REMOVEDIR : 0) < 0) note("unlinkat", errno);
  }

  // Closes the descriptor.
  void remove_contents(int descriptor) {
    DIR* directory = fdopendir(descriptor);
    if (directory == nullptr) {
      note("fdopendir", errno);
      close(descriptor);
      return;
    }
    errno = 0;
    while (const dirent* entry = left ? nullptr : readdir(directory)) {
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) remove_entry(descriptor, entry->d_name);
      errno = 0;
    }
    if (errno != 0) note("readdir", errno);
    closedir(directory);
  }
};

}  // namespace

Removal remove_below(int directory, const char* name, const std::atomic<bool>& left) {
  Remover remover{left};
  remover.remove_entry(directory, name);
  return remover.removal;
}

Removal remove_opened(int opened, int directory, const char* name, const std::atomic<bool>& left) {
  Remover remover{left};
  remover.remove_opened(opened, directory, name);
  return remover.removal;
}

}  // namespace envd
