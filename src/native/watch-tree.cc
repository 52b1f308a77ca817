// inotify(7): the watches of whole trees. A tree is walked off the event loop; its result is packed, for
// native/watched-tree.ts to read.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "descriptor.h"
#include "job.h"
#include "mounts.h"
#include "own-directory.h"
#include "proc-link.h"
#include "registration.h"
#include "tree-task.h"
#include "values.h"
#include "walk.h"

namespace envd {

namespace {

constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK;

// A directory that is gone or closed to us when its turn comes is no failure of the tree around it. Everything else is:
// no client may wait in silence for what happens there.
bool is_failure(int error) {
  switch (error) {
    case 0:
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ESTALE:
    case EACCES:
    case EPERM:
    // A mount point whose filesystem does not answer, or whose server is gone.
    case ETIMEDOUT:
    case ENOTCONN:
      return false;
    default:
      return true;
  }
}

// Before Linux 5.6, and where a sandbox around the daemon does not know openat2(2).
bool is_unknown_call(int error) { return error == ENOSYS || error == EPERM; }

int open_by_components(int directory, const std::string& path) {
  constexpr int step_flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  Descriptor at(path.starts_with('/') ? open("/", step_flags) : openat(directory, ".", step_flags));
  for (size_t begin = 0; begin < path.size() && at.valid();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin) at = Descriptor(openat(at.get(), path.substr(begin, end - begin).c_str(), step_flags));
    begin = end + 1;
  }
  return at.valid() ? openat(at.get(), ".", directory_flags) : -1;
}

// Through no link: what is walked is a real path, or was a directory below one. A link that has come since leads
// elsewhere.
int open_root(const std::string& path) {
  open_how how{};
  how.flags = directory_flags;
  how.resolve = RESOLVE_NO_SYMLINKS;
  const int descriptor = static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how));
  return descriptor < 0 && is_unknown_call(errno) ? open_by_components(AT_FDCWD, path) : descriptor;
}

// The same below it. ETIMEDOUT for a mount point whose filesystem does not answer.
int open_start(int root, const std::string& path) {
  const int descriptor = open_answering(root, path.c_str(), directory_flags, RESOLVE_NO_SYMLINKS).release();
  return descriptor < 0 && is_unknown_call(errno) ? open_by_components(root, path) : descriptor;
}

// The layout that getdents64(2) fills; glibc reads no directory without an allocation for each.
struct Dirent {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

// A directory whose children are yet to be watched.
struct Open {
  int descriptor;
  dev_t device;
  std::vector<std::string> children;
};

struct WatchTree : Job {
  std::shared_ptr<TreeTask> task;
  int instance = -1;
  std::string root;
  // Where the walk begins, below the root.
  std::string start;
  // The watch that the root has to have already; negative: any directory will do.
  int expected = -1;
  uint32_t mask = 0;
  bool recursive = false;
  // Bytes of the result after which the walk ends with EOVERFLOW.
  size_t limit = 0;

  std::string directories;
  std::vector<Open> path;
  const OwnWorkingDirectory* working = nullptr;
  alignas(Dirent) char buffer[64 * 1024];

  void run() override {
    const OwnWorkingDirectory own;
    working = &own;
    int failure = task->cancelled ? ECANCELED : add_start();
    while (failure == 0 && !path.empty()) {
      Open& parent = path.back();
      if (parent.children.empty()) {
        close(parent.descriptor);
        path.pop_back();
        continue;
      }
      const std::string name = std::move(parent.children.back());
      parent.children.pop_back();
      const int error = add_child(parent, name);
      if (is_failure(error)) failure = error;
      else if (task->cancelled) failure = ECANCELED;
    }
    for (const Open& left : path) close(left.descriptor);
    put_text(result, failure == 0 ? "" : error_name(failure));
    result.append(directories);
  }

  int add_start() {
    const int descriptor = open_root(root);
    if (descriptor < 0) return errno;
    struct stat status {};
    if (fstat(descriptor, &status) != 0) return fail_with(descriptor, errno);
    if (const int error = check_root(descriptor); error != 0) return fail_with(descriptor, error);
    if (start.empty()) return add_open(descriptor, "", 0, status.st_dev);
    const int error = add_directory(open_start(descriptor, start), start, 0, status.st_dev);
    close(descriptor);
    // The result is a tree without directories: the events say what has happened to it.
    return is_failure(error) ? error : 0;
  }

  // A directory that is watched keeps its watch, and no other gets it. Nothing that stat(2) returns is as good: inode
  // numbers are given out again, and an overlay's directory changes its time of birth when something is first made in
  // it.
  int check_root(int descriptor) {
    if (expected < 0) return 0;
    const int watch = add_watch(descriptor);
    if (watch < 0) return errno;
    if (watch == expected) return 0;
    put_directory(0, watch, "");
    put_text(directories, "");
    return ESTALE;
  }

  // Without a mount between them it is in the same filesystem.
  int add_child(const Open& parent, const std::string& name) {
    constexpr int flags = directory_flags | O_NOFOLLOW;
    const int same = open_resolved(parent.descriptor, name.c_str(), flags, RESOLVE_NO_XDEV).release();
    if (same >= 0) return add_open(same, name, path.size(), parent.device);
    if (errno != EXDEV && !is_unknown_call(errno)) return errno;
    const int descriptor = open_entry(parent.descriptor, name.c_str(), flags).release();
    return add_directory(descriptor, name, path.size(), parent.device);
  }

  // Through the open descriptor: it cannot be on another directory than the one that is read.
  int add_watch(int descriptor) const {
    if (working->enter(descriptor)) return inotify_add_watch(instance, ".", mask | IN_ONLYDIR);
    return inotify_add_watch(instance, proc_link(descriptor).c_str(), mask | IN_ONLYDIR);
  }

  // What `unpackTree` expects first of a directory; its names follow.
  void put_directory(size_t depth, int watch, const std::string& name) {
    put_integer(directories, depth, 4);
    put_integer(directories, static_cast<uint64_t>(watch), 4);
    put_text(directories, depth == 0 ? "" : name);
  }

  // Takes the descriptor, which may be negative after a failure.
  int add_directory(int descriptor, const std::string& name, size_t depth, dev_t device) {
    if (descriptor < 0) return errno;
    struct stat status {};
    if (fstat(descriptor, &status) != 0) return fail_with(descriptor, errno);
    if (status.st_dev != device && is_kernel_filesystem(descriptor)) return fail_with(descriptor, ENOENT);
    return add_open(descriptor, name, depth, status.st_dev);
  }

  // Watches first and reads afterwards, so that an entry made meanwhile shows up in the events, in the list, or in
  // both. Takes the descriptor.
  int add_open(int descriptor, const std::string& name, size_t depth, dev_t device) {
    const int watch = add_watch(descriptor);
    if (watch < 0) return fail_with(descriptor, errno);
    put_directory(depth, watch, name);
    Open opened{descriptor, device, {}};
    if (const int error = read_names(opened); error != 0) return fail_with(descriptor, error);
    if (opened.children.empty()) close(descriptor);
    else path.push_back(std::move(opened));
    return directories.size() > limit ? EOVERFLOW : 0;
  }

  // One block: `d` for a directory or `f` for anything else, the name and a NUL, for each entry.
  int read_names(Open& directory) {
    std::string names;
    int error = 0;
    for (;;) {
      const long length = syscall(SYS_getdents64, directory.descriptor, buffer, sizeof buffer);
      // One that was removed meanwhile has no entries.
      if (length < 0 && errno != ENOENT) error = errno;
      if (length <= 0 || names.size() > limit) break;
      for (long at = 0; at < length;) {
        const auto* entry = reinterpret_cast<const Dirent*>(buffer + at);
        at += entry->length;
        put_name(names, directory, *entry);
      }
    }
    put_text(directories, names);
    return error;
  }

  void put_name(std::string& names, Open& directory, const Dirent& entry) const {
    const std::string_view name(entry.name);
    if (name == "." || name == "..") return;
    const bool is_directory = is_directory_entry(directory.descriptor, entry);
    names.push_back(is_directory ? 'd' : 'f');
    names.append(name);
    names.push_back('\0');
    if (is_directory && recursive) directory.children.emplace_back(name);
  }

  static bool is_directory_entry(int directory, const Dirent& entry) {
    if (entry.type != DT_UNKNOWN) return entry.type == DT_DIR;
    struct stat status {};
    return status_of_entry({directory, false}, entry.name, walk_patience, status) == 0 && S_ISDIR(status.st_mode);
  }

  static int fail_with(int descriptor, int error) {
    close(descriptor);
    return error;
  }
};

napi_value watch_tree(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<WatchTree>();
  int64_t mask = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->instance)) return nullptr;
  if (!to_path(env, arguments.at[1], job->root) || !to_path(env, arguments.at[2], job->start)) return nullptr;
  if (!to_integer(env, arguments.at[3], "mask", 0, UINT32_MAX, mask)) return nullptr;
  if (!to_boolean(env, arguments.at[4], "recursive", job->recursive)) return nullptr;
  int64_t expected = -1;
  if (!to_integer(env, arguments.at[5], "rootWatch", -1, INT32_MAX, expected)) return nullptr;
  int64_t limit = 0;
  if (!to_integer(env, arguments.at[6], "limit", 0, UINT32_MAX, limit)) return nullptr;
  if (!to_tree_task(env, arguments.at[7], job->task)) return nullptr;
  job->expected = static_cast<int>(expected);
  job->limit = static_cast<size_t>(limit);
  job->mask = static_cast<uint32_t>(mask);
  return start_job(env, std::move(job), "watchTree");
}

}  // namespace

void register_watch_tree(napi_env env, napi_value exports) { export_function(env, exports, "watchTree", watch_tree); }

}  // namespace envd
