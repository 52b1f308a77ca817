#include "below.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "mounts.h"
#include "walk.h"

namespace envd {

namespace {

constexpr int place_flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t new_directory_mode = 0755;

bool is_plain(std::string_view name) { return !name.empty() && name != "." && name != ".."; }

// The directory of that name, which is made if it is missing. Not valid with errno set.
Descriptor step(int parent, const std::string& name, const NewOwner& owner) {
  Descriptor next(openat(parent, name.c_str(), place_flags));
  if (next.valid()) return next;
  if (errno == ENOENT) {
    const int refused = make_directory(parent, name, new_directory_mode, owner).error;
    if (refused != 0 && refused != EEXIST) {
      errno = refused;
      return next;
    }
    next.reset(openat(parent, name.c_str(), place_flags));
  }
  // O_DIRECTORY makes no difference between a link and a file.
  struct stat status {};
  if (!next.valid() && errno == ENOTDIR && fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
    errno = S_ISLNK(status.st_mode) ? ELOOP : ENOTDIR;
  return next;
}

// One name; not valid with errno set, as openat2(2) sets it.
Descriptor open_name(int parent, const std::string& name, int flags) {
  Descriptor next(openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!next.valid() || fstat(next.get(), &status) < 0) return Descriptor();
  const bool link_itself = (flags & (O_PATH | O_NOFOLLOW | O_DIRECTORY)) == (O_PATH | O_NOFOLLOW);
  if (S_ISLNK(status.st_mode) && !link_itself) errno = ELOOP;
  else if ((flags & O_DIRECTORY) != 0 && !S_ISDIR(status.st_mode)) errno = ENOTDIR;
  else return (flags & O_PATH) != 0 ? std::move(next) : Descriptor(openat(parent, name.c_str(), flags | O_NOFOLLOW));
  return Descriptor();
}

// The same name by name, which is slower.
Descriptor open_by_names(int root, const std::string& path, int flags) {
  if (path.empty()) return Descriptor(openat(root, ".", flags));
  Names names;
  if (!split_below(path, names)) {
    errno = EXDEV;
    return Descriptor();
  }
  Descriptor at;
  for (size_t from = 0; from < names.directory.size();) {
    const size_t end = std::min(names.directory.find('/', from), names.directory.size());
    at = open_name(at.valid() ? at.get() : root, names.directory.substr(from, end - from), O_PATH | O_DIRECTORY);
    if (!at.valid()) return at;
    from = end + 1;
  }
  return open_name(at.valid() ? at.get() : root, names.last, flags);
}

}  // namespace

Descriptor open_below(int root, const std::string& path, int flags) {
  const int all_flags = flags | O_CLOEXEC | ((flags & O_PATH) != 0 ? 0 : O_NONBLOCK | O_NOCTTY);
  constexpr uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  Descriptor found = open_answering(root, path.empty() ? "." : path.c_str(), all_flags, resolve);
  // Before Linux 5.6, and where a sandbox around the daemon does not know the call.
  const bool unknown = !found.valid() && (errno == ENOSYS || errno == EPERM);
  return unknown ? open_by_names(root, path, all_flags) : std::move(found);
}

bool split_below(const std::string& path, Names& names) {
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    if (!is_plain(std::string_view(path).substr(at, end - at))) {
      errno = EINVAL;
      return false;
    }
    at = end + 1;
  }
  const size_t slash = path.rfind('/');
  names.directory = slash == std::string::npos ? std::string() : path.substr(0, slash);
  names.last = slash == std::string::npos ? path : path.substr(slash + 1);
  return true;
}

Descriptor ensure_below(int root, const std::string& directory, const NewOwner& owner) {
  Descriptor at = open_below(root, directory, O_PATH | O_DIRECTORY);
  if (!at.valid() && errno == ENOENT) {
    at = open_below(root, "", O_PATH | O_DIRECTORY);
    for (size_t from = 0; at.valid() && from < directory.size();) {
      const size_t end = std::min(directory.find('/', from), directory.size());
      at = step(at.get(), directory.substr(from, end - from), owner);
      from = end + 1;
    }
  }
  if (at.valid() && is_kernel_filesystem(at.get())) {
    at.reset();
    errno = EROFS;
  }
  return at;
}

}  // namespace envd
