// By descriptors (openat(2), unlinkat(2)), so that a link that takes a directory's place meanwhile is not followed.
#include "remove-below.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "mounts.h"
#include "same-file.h"
#include "temporary-name.h"

namespace envd {

namespace {

// Directories that are open at a time: each takes a descriptor, a buffer of 32 KiB and a frame of the stack, and who
// may make directories can nest them without end.
constexpr size_t max_depth = 64;

struct Remover {
  const std::atomic<bool>& left;
  Removal removal{};
  // The directory that is deleted, and whether one was lifted into it since its entries were read.
  int top = -1;
  bool lifted = false;

  // The first failure counts; whatever else can be deleted is.
  void note(const char* call, int error) {
    if (removal.error == 0 && error != ENOENT) removal = {call, error};
  }

  // `depth`: directories above it that are deleted, too.
  void remove_entry(int directory, const char* name, size_t depth) {
    if (left) return note("unlinkat", ECANCELED);
    if (unlinkat(directory, name, 0) == 0 || errno == ENOENT) return;
    const int refused = errno;
    // A directory is EISDIR on Linux, EPERM by POSIX.
    if (refused != EISDIR && refused != EPERM) return note("unlinkat", refused);
    if (depth == max_depth) return lift(directory, name, refused);
    const int descriptor = open_entry(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK).release();
    if (descriptor < 0) return note("unlinkat", errno == ENOTDIR || errno == ELOOP ? refused : errno);
    remove_contents(descriptor, depth);
    if (left) return note("unlinkat", ECANCELED);
    if (unlinkat(directory, name, AT_REMOVEDIR) < 0) note("unlinkat", errno);
  }

  // What is too deep goes to the top, and is deleted there.
  void lift(int directory, const char* name, int refused) {
    struct stat status {};
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return note("fstatat", errno);
    if (!S_ISDIR(status.st_mode)) return note("unlinkat", refused);
    const std::string above = temporary_name();
    if (above.empty()) return note("getrandom", errno);
    if (renameat(directory, name, top, above.c_str()) < 0) return note("renameat", errno);
    lifted = true;
  }

  void remove_opened(int opened, int directory, const char* name) {
    struct stat status {};
    if (fstat(opened, &status) < 0) return note("fstat", errno);
    const bool is_directory = S_ISDIR(status.st_mode);
    if (is_directory) {
      const int descriptor = open_entry(opened, ".", O_RDONLY | O_DIRECTORY | O_NONBLOCK).release();
      if (descriptor < 0) return note("unlinkat", errno);
      remove_contents(descriptor, 0);
    }
    if (left) return note("unlinkat", ECANCELED);
    struct stat there {};
    const bool known = fstatat(directory, name, &there, AT_SYMLINK_NOFOLLOW) == 0;
    if (known && !is_same(there, status)) return note("unlinkat", ESTALE);
    if (unlinkat(directory, name, is_directory ? AT_REMOVEDIR : 0) < 0) note("unlinkat", errno);
  }

  // Closes the descriptor.
  void remove_contents(int descriptor, size_t depth) {
    DIR* directory = fdopendir(descriptor);
    if (directory == nullptr) {
      note("fdopendir", errno);
      close(descriptor);
      return;
    }
    if (depth == 0) remove_top(directory);
    else remove_entries(directory, depth);
    closedir(directory);
  }

  // Each that is lifted has fewer levels than before.
  void remove_top(DIR* directory) {
    top = dirfd(directory);
    do {
      lifted = false;
      rewinddir(directory);
      remove_entries(directory, 0);
    } while (lifted && !left);
  }

  void remove_entries(DIR* directory, size_t depth) {
    errno = 0;
    while (const dirent* entry = left ? nullptr : readdir(directory)) {
      const bool own = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
      if (!own) remove_entry(dirfd(directory), entry->d_name, depth + 1);
      errno = 0;
    }
    if (errno != 0) note("readdir", errno);
  }
};

}  // namespace

Removal remove_below(int directory, const char* name, const std::atomic<bool>& left) {
  Remover remover{left};
  remover.remove_entry(directory, name, 0);
  return remover.removal;
}

Removal remove_opened(int opened, int directory, const char* name, const std::atomic<bool>& left) {
  Remover remover{left};
  remover.remove_opened(opened, directory, name);
  return remover.removal;
}

}  // namespace envd
