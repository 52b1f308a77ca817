#include "proc-link.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

namespace envd {

std::string proc_link(int descriptor) { return "/proc/self/fd/" + std::to_string(descriptor); }

int link_open_file(int file, int parent, const std::string& name) {
  if (linkat(AT_FDCWD, proc_link(file).c_str(), parent, name.c_str(), AT_SYMLINK_FOLLOW) == 0) return 0;
  if (errno != ENOENT) return errno;
  return linkat(file, "", parent, name.c_str(), AT_EMPTY_PATH) == 0 ? 0 : errno;
}

int find_real_path(const Place& place, const std::string& path, std::string& real) {
  char buffer[PATH_MAX];
  const ssize_t length = readlink(proc_link(place.entry.get()).c_str(), buffer, sizeof buffer);
  if (length < 0 && errno != ENOENT) return errno;
  if (length >= 0) {
    real.assign(buffer, static_cast<size_t>(length));
    return 0;
  }
  struct stat there {};
  if (realpath(path.c_str(), buffer) == nullptr) return errno;
  if (fstatat(AT_FDCWD, buffer, &there, AT_SYMLINK_NOFOLLOW) < 0) return errno;
  if (there.st_dev != place.status.st_dev || there.st_ino != place.status.st_ino) return ESTALE;
  real = buffer;
  return 0;
}

}  // namespace envd
