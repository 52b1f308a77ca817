#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <atomic>
#include <string_view>

#include "mounts.h"

namespace envd {

namespace {

constexpr int place_flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
constexpr int directory_flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
// As in the kernel (path_resolution(7)).
constexpr int max_links = 40;
// The inode of the root of every proc(5).
constexpr ino_t proc_root = 1;

// True if it cannot be found out.
bool is_proc(int descriptor) {
  struct statfs status {};
  return fstatfs(descriptor, &status) < 0 || status.f_type == PROC_SUPER_MAGIC;
}

// A process that has the daemon's arguments and environment as well; 0: there is none.
std::atomic<pid_t> hidden_process{0};

// Whether a directory of proc(5) is that of this process, the hidden one, or one of their threads. One that is there
// and cannot be looked at, as for want of descriptors, counts as such.
bool is_own_process(int directory) {
  const Descriptor file(openat(directory, "status", O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return errno != ENOENT && errno != ENOTDIR && errno != ESRCH;
  char text[512];
  const ssize_t length = read(file.get(), text, sizeof text - 1);
  if (length <= 0) return length < 0 && errno != ESRCH;
  text[length] = 0;
  const char* line = strstr(text, "\nTgid:");
  int group = 0;
  if (line == nullptr || sscanf(line, "\nTgid: %d", &group) != 1) return false;
  return group == getpid() || group == hidden_process.load(std::memory_order_relaxed);
}

// What is the same for every process of the machine, and what /proc/mounts, /proc/net and /etc/mtab lead to.
bool is_shared_entry(std::string_view name) { return name == "mounts" || name == "mountinfo" || name == "net"; }

struct Directory {
  Descriptor descriptor;
  struct stat status;
  bool proc;
};

struct Component {
  std::string name;
  bool slashed;
  bool is_last;
};

// Takes the next name off a path, `.` where there is none.
Component take_component(std::string_view& path) {
  const size_t from = path.find_first_not_of('/');
  if (from == std::string_view::npos) return {".", false, true};
  path.remove_prefix(from);
  std::string name(path.substr(0, path.find('/')));
  path.remove_prefix(name.size());
  return {std::move(name), !path.empty(), path.find_first_not_of('/') == std::string_view::npos};
}

int status_of(const Descriptor& entry, Last last, struct stat& status) {
  if (last == Last::look) return known_status(entry.get(), status);
  return fstat(entry.get(), &status) < 0 ? errno : 0;
}

struct Walker {
  const Actor& actor;
  const char* refusal = nullptr;
  int links = 0;

  int refuse(const char* kind, int number) {
    refusal = kind;
    return number;
  }

  int find(const std::string& path, Last last, Place& place) {
    if (path.empty()) return ENOENT;
    if (path.size() >= PATH_MAX) return ENAMETOOLONG;
    const int fast = find_without_links(path, last, place);
    if (fast >= 0) return fast;
    if (const int error = resolve(AT_FDCWD, path, last, place); error != 0) return error;
    const bool is_directory = place.exists() && S_ISDIR(place.status.st_mode) && is_proc(place.entry.get());
    return is_directory && is_own_process(place.entry.get()) ? refuse(follow_refusal, EACCES) : 0;
  }

  // Most paths have no link: few calls then. Negative: it takes the long way, as where the kernel refuses a link
  // (EACCES).
  int find_without_links(const std::string& path, Last last, Place& place) {
    const size_t end = path.find_last_not_of('/');
    if (end == std::string::npos) return -1;
    const size_t slash = path.rfind('/', end);
    std::string name = path.substr(slash + 1, end - slash);
    if (name == "." || name == ".." || slash == std::string::npos) return -1;
    open_how how{};
    how.flags = directory_flags;
    how.resolve = RESOLVE_NO_SYMLINKS;
    const std::string directory = slash == 0 ? "/" : path.substr(0, slash);
    Descriptor parent(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, directory.c_str(), &how, sizeof how)));
    if (!parent.valid()) {
      const bool hopeless = errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
      return hopeless ? errno : -1;
    }
    if (is_proc(parent.get())) return -1;
    Descriptor entry(openat(parent.get(), name.c_str(), place_flags));
    if (!entry.valid() && errno != ENOENT) return errno;
    const bool slashed = end + 1 < path.size();
    if (entry.valid()) {
      if (const int error = status_of(entry, last, place.status); error != 0) return error;
      if (S_ISLNK(place.status.st_mode) && (last == Last::follow || slashed)) return -1;
      if (slashed && !S_ISDIR(place.status.st_mode)) return ENOTDIR;
    }
    if (slashed) name.push_back('/');
    place.parent = std::move(parent);
    place.name = std::move(name);
    place.entry = std::move(entry);
    return 0;
  }

  int resolve(int start, std::string_view path, Last last, Place& place) {
    Directory at{
        Descriptor(path.front() == '/' ? open("/", directory_flags) : openat(start, ".", directory_flags)), {}, false};
    if (!at.descriptor.valid() || fstat(at.descriptor.get(), &at.status) < 0) return errno;
    at.proc = is_proc(at.descriptor.get());
    for (;;) {
      const Component component = take_component(path);
      Place next;
      if (const int error = step(at, component, last, next); error != 0) return error;
      if (component.is_last) {
        place = std::move(next);
        return 0;
      }
      if (next.status.st_dev != at.status.st_dev) at.proc = is_proc(next.entry.get());
      at.status = next.status;
      at.descriptor = std::move(next.entry);
    }
  }

  // From a directory to the next place; only the last one may be missing, or be a link or a file.
  int step(Directory& at, const Component& component, Last last, Place& next) {
    const auto& [name, slashed, is_last] = component;
    if (at.proc && name != ".." && !is_shared_entry(name) && is_own_process(at.descriptor.get())) {
      return refuse(follow_refusal, EACCES);
    }
    next.entry.reset(openat(at.descriptor.get(), name.c_str(), place_flags));
    if (!next.exists() && (errno != ENOENT || !is_last)) return errno;
    const Last look = is_last ? last : Last::follow;
    if (const int error = next.exists() ? status_of(next.entry, look, next.status) : 0; error != 0) return error;
    if (next.exists() && S_ISLNK(next.status.st_mode) && (slashed || !is_last || last == Last::follow)) {
      Place target;
      if (const int error = follow(at, next, target); error != 0) return error;
      if (!target.exists() && (slashed || !is_last)) return ENOENT;
      next = std::move(target);
    } else {
      next.name = slashed && is_last ? name + "/" : name;
      // Only the last place is acted on.
      if (is_last) next.parent = std::move(at.descriptor);
    }
    return slashed && next.exists() && !S_ISDIR(next.status.st_mode) ? ENOTDIR : 0;
  }

  // `link` stands in the directory.
  int follow(const Directory& at, const Place& link, Place& target) {
    if (++links > max_links) return ELOOP;
    // Everywhere else in proc(5) links lead to what processes have open, and have no text that could be walked.
    if (at.proc && at.status.st_ino != proc_root) return refuse(follow_refusal, EACCES);
    char text[PATH_MAX];
    const ssize_t length = readlinkat(link.entry.get(), "", text, sizeof text);
    if (length < 0) return errno;
    if (length == 0) return ENOENT;
    const std::string_view path(text, static_cast<size_t>(length));
    if (const int error = resolve(at.descriptor.get(), path, Last::follow, target); error != 0) return error;
    return is_allowed(at.status, link.status, target) ? 0 : refuse(follow_refusal, EACCES);
  }

  // The rule of `fs.protected_symlinks` (proc_sys_fs(5)), and more: who made a link owns what it leads to, unless it
  // was root.
  bool is_allowed(const struct stat& directory, const struct stat& link, const Place& target) const {
    if (link.st_uid == 0 || is_daemon_itself()) return true;
    const bool shared = (directory.st_mode & S_IWOTH) != 0;
    if (shared && link.st_uid != actor.uid && link.st_uid != directory.st_uid) return false;
    if (actor.own_rights) return true;
    if (target.exists()) return target.status.st_uid == link.st_uid || is_sink(target.status);
    struct stat parent {};
    if (fstat(target.parent.get(), &parent) < 0) return false;
    return parent.st_uid == link.st_uid || (parent.st_mode & S_IWOTH) != 0;
  }

  // A link adds no rights to those of the daemon.
  bool is_daemon_itself() const { return actor.uid == 0 || actor.uid == geteuid(); }

  // Climbs from the place to the directory that must not be left.
  int check_beneath(const Place& place) {
    if (actor.beneath.empty()) return 0;
    struct stat limit {};
    if (stat(actor.beneath.c_str(), &limit) < 0) return errno;
    Descriptor at(openat(place.parent.get(), ".", directory_flags));
    for (int steps = 0;; steps++) {
      struct stat status {};
      if (!at.valid() || fstat(at.get(), &status) < 0) return errno;
      if (status.st_ino == limit.st_ino && status.st_dev == limit.st_dev) return 0;
      struct stat root {};
      const bool is_root = stat("/", &root) == 0 && root.st_ino == status.st_ino && root.st_dev == status.st_dev;
      if (is_root || steps == PATH_MAX) return refuse(beneath_refusal, EXDEV);
      at = Descriptor(openat(at.get(), "..", directory_flags));
    }
  }
};

// The daemon's own paths: links are followed by the kernel.
int find_unchecked(const std::string& path, Last last, Place& place) {
  place.parent.reset(AT_FDCWD);
  place.name = path;
  place.entry.reset(open(path.c_str(), O_PATH | O_CLOEXEC | (last == Last::follow ? 0 : O_NOFOLLOW)));
  if (!place.exists()) return errno == ENOENT ? 0 : errno;
  return status_of(place.entry, last, place.status);
}

}  // namespace

void hide_process(pid_t pid) { hidden_process.store(pid, std::memory_order_relaxed); }

bool find_place(ActorJob& job, const std::string& path, Last last, const char* call, Place& place) {
  if (!job.actor.checked) {
    const int error = find_unchecked(path, last, place);
    if (error != 0) job.fail(call, error);
    return error == 0;
  }
  Walker walker{job.actor};
  int error = walker.find(path, last, place);
  if (error == 0) error = walker.check_beneath(place);
  if (error != 0) job.fail(walker.refusal == nullptr ? call : walker.refusal, error);
  return error == 0;
}

bool is_sink(const struct stat& status) {
  const unsigned number = minor(status.st_rdev);
  return S_ISCHR(status.st_mode) && major(status.st_rdev) == 1 && (number == 3 || number == 5 || number == 7);
}

bool is_kernel_filesystem(int descriptor) {
  struct statfs status {};
  if (fstatfs(descriptor, &status) != 0) return false;
  switch (static_cast<unsigned long>(status.f_type)) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case BPF_FS_MAGIC:
      return true;
    default:
      return false;
  }
}

}  // namespace envd
