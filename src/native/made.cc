#include "made.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "acting-as.h"
#include "mounts.h"
#include "refused-owner.h"
#include "walk.h"

namespace envd {

namespace {

constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t private_mode = 0700;
// How far the clock of a filesystem may be behind that of the daemon: some round to 10 ms, others count in ticks.
constexpr int64_t clock_slack = 20'000'000;

int64_t nanoseconds(int64_t seconds, int64_t rest) { return seconds * 1'000'000'000 + rest; }

// As filesystems take it.
timespec now() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME_COARSE, &time);
  return time;
}

// 0, ENOTEMPTY, or the errno of what hindered to look.
int look_for_entries(int directory) {
  Descriptor opened(openat(directory, ".", directory_flags));
  DIR* const entries = opened.valid() ? fdopendir(opened.get()) : nullptr;
  if (entries == nullptr) return errno;
  opened.release();
  bool empty = true;
  for (const dirent* entry = readdir(entries); empty && entry != nullptr; entry = readdir(entries))
    empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
  closedir(entries);
  return empty ? 0 : ENOTEMPTY;
}

bool is_empty(int directory) { return look_for_entries(directory) == 0; }

// Whether a directory was made since then, or last changed where that is not known: others may have put something into
// it already. The clock of a server says nothing.
bool is_new(int directory, const struct stat& status, const timespec& since) {
  if (!is_local(directory) && is_empty(directory)) return true;
  timespec made = status.st_mtim;
  struct statx facts {};
  const bool known = statx(directory, "", AT_EMPTY_PATH, STATX_BTIME, &facts) == 0;
  if (known && (facts.stx_mask & STATX_BTIME) != 0) made = {facts.stx_btime.tv_sec, facts.stx_btime.tv_nsec};
  // Filesystems that count whole seconds.
  if (made.tv_nsec == 0) return made.tv_sec >= since.tv_sec;
  return nanoseconds(made.tv_sec, made.tv_nsec) >= nanoseconds(since.tv_sec, since.tv_nsec) - clock_slack;
}

// What was made under a name, and how.
struct Making {
  // Negative: nothing was made, with errno set.
  int result = -1;
  // Not older than this.
  timespec since{};
  // It belongs to its owner, unless the filesystem has its own view of owners.
  bool as_owner = false;
};

// As the owner; as the daemon where the owner may not, or cannot be acted for. Of `make`, like mkdirat(2).
template <typename Make>
Making make_as(const NewOwner& owner, const Make& make) {
  const timespec since = now();
  if (owner.given) {
    int refused = EPERM;
    {
      const ActingAs acting(owner.uid, owner.gid);
      if (acting.valid()) refused = make() < 0 ? errno : 0;
    }
    errno = refused;
    if (refused == 0) return {0, since, true};
    if (refused != EPERM && refused != EACCES && refused != EOVERFLOW) return {-1, since, true};
  }
  return {make(), since, false};
}

// Whether a directory is what was made, or at least belongs to its owner already, who gains nothing then.
bool may_be_given(int directory, const struct stat& status, const Making& making, const NewOwner& owner) {
  if (status.st_uid == owner.uid && owner.uid != geteuid()) return true;
  if (status.st_uid != geteuid()) return false;
  // Servers that make all for one user.
  if (making.as_owner) return !is_local(directory) && is_empty(directory);
  return is_new(directory, status, making.since);
}

void drop(int parent, const std::string& name, const struct stat& made) {
  struct stat there {};
  if (fstatat(parent, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) < 0) return;
  if (there.st_dev != made.st_dev || there.st_ino != made.st_ino) return;
  unlinkat(parent, name.c_str(), S_ISDIR(made.st_mode) ? AT_REMOVEDIR : 0);
}

}  // namespace

Refused make_directory(int parent, const std::string& name, mode_t mode, const NewOwner& owner) {
  const Making making = make_as(owner, [&] { return mkdirat(parent, name.c_str(), mode); });
  if (making.result < 0) return {"mkdir", errno};
  if (!owner.given) return {};
  const Descriptor made(openat(parent, name.c_str(), directory_flags));
  struct stat status {};
  if (!made.valid() || fstat(made.get(), &status) < 0) return {"open", errno};
  if (!may_be_given(made.get(), status, making, owner)) return {};
  // Also where it changes nothing: watchers have it as an event.
  if (fchown(made.get(), owner.uid, owner.gid) == 0) return {};
  const int not_given = refused_owner();
  if (owner.uid == geteuid() || is_kernel_filesystem(made.get())) return {};
  // It must not stay the daemon user's. If others have put something into it, it stays.
  drop(parent, name, status);
  return {"fchown", not_given};
}

int read_link(int parent, const std::string& name, LinkFacts& link) {
  const Descriptor opened(openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!opened.valid() || fstat(opened.get(), &link.status) < 0) return errno;
  if (!S_ISLNK(link.status.st_mode)) return EINVAL;
  char target[PATH_MAX];
  const ssize_t length = readlinkat(opened.get(), "", target, sizeof target);
  if (length < 0) return errno;
  link.target.assign(target, static_cast<size_t>(length));
  return 0;
}

Refused make_link(const std::string& target, int parent, const std::string& name, const NewOwner& owner,
                  const timespec* times) {
  const Making making = make_as(owner, [&] { return symlinkat(target.c_str(), parent, name.c_str()); });
  if (making.result < 0) return {"symlink", errno};
  const Descriptor link(openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!link.valid() || fstat(link.get(), &status) < 0) {
    const int unknown = errno;
    // A link of root's is followed for all users.
    if (fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode))
      unlinkat(parent, name.c_str(), 0);
    return {"open", unknown};
  }
  if (!S_ISLNK(status.st_mode)) return {};
  const bool giving = owner.given && (status.st_uid == owner.uid || status.st_uid == geteuid());
  if (giving && fchownat(link.get(), "", owner.uid, owner.gid, AT_EMPTY_PATH) < 0 && owner.uid != geteuid()) {
    const int not_given = refused_owner();
    drop(parent, name, status);
    return {"fchown", not_given};
  }
  // Times of links are a convenience that older kernels do not have this way.
  if (times != nullptr) utimensat(link.get(), "", times, AT_EMPTY_PATH);
  return {};
}

Descriptor make_private_directory(int parent, const std::string& name) {
  const timespec since = now();
  if (mkdirat(parent, name.c_str(), private_mode) < 0) return Descriptor();
  Descriptor made(openat(parent, name.c_str(), directory_flags));
  struct stat status {};
  if (!made.valid() || fstat(made.get(), &status) < 0) {
    const int refused = errno;
    unlinkat(parent, name.c_str(), AT_REMOVEDIR);
    errno = refused;
    return Descriptor();
  }
  const int refused = is_new(made.get(), status, since) ? look_for_entries(made.get()) : ENOTEMPTY;
  if (refused == 0) return made;
  if (refused != ENOTEMPTY) drop(parent, name, status);
  errno = refused == ENOTEMPTY ? ESTALE : refused;
  return Descriptor();
}

}  // namespace envd
