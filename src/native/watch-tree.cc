// inotify(7): the watches of whole trees. A tree is walked off the event loop; its result is packed, for
// native/watched-tree.ts to read.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "below.h"
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
    // No call can name what is in it.
    case ENAMETOOLONG:
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

// The layout that getdents64(2) fills; glibc reads no directory without an allocation for each.
struct Dirent {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

// Directories that are open at a time: who may make directories can nest them as deep as paths are long.
constexpr size_t max_open = 64;

// A directory whose children are yet to be watched.
struct Open {
  // Negative: it is opened again when its turn comes.
  int descriptor;
  dev_t device;
  ino_t inode;
  std::string name;
  // Bytes of its path below the root.
  size_t length;
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
  Descriptor top;
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
        if (parent.descriptor >= 0) close(parent.descriptor);
        path.pop_back();
        continue;
      }
      const std::string name = std::move(parent.children.back());
      parent.children.pop_back();
      const int error = add_child(parent, name);
      if (is_failure(error)) failure = error;
      else if (task->cancelled) failure = ECANCELED;
    }
    for (const Open& left : path)
      if (left.descriptor >= 0) close(left.descriptor);
    put_text(result, failure == 0 ? "" : error_name(failure));
    result.append(directories);
  }

  // Through no link: what is walked is a real path, or was a directory below one. A link that has come since leads
  // elsewhere.
  int add_start() {
    const Descriptor slash(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!slash.valid() || !root.starts_with('/')) return slash.valid() ? EINVAL : errno;
    top = open_below(slash.get(), root.substr(1), directory_flags);
    struct stat status {};
    if (!top.valid() || fstat(top.get(), &status) != 0) return errno;
    if (const int error = check_root(top.get()); error != 0) return error;
    const int error = add_directory(open_below(top.get(), start, directory_flags).release(), start, status.st_dev);
    if (start.empty()) return error;
    // The result is a tree without directories: the events say what has happened to it.
    return is_failure(error) ? error : 0;
  }

  // 0, or an errno: ESTALE for one that is not where it was.
  int open_again(Open& directory) {
    std::string below;
    for (const Open& each : path) below += below.empty() || each.name.empty() ? each.name : "/" + each.name;
    Descriptor again = open_below(top.get(), below, directory_flags);
    struct stat status {};
    if (!again.valid() || fstat(again.get(), &status) != 0) return errno;
    if (status.st_dev != directory.device || status.st_ino != directory.inode) return ESTALE;
    directory.descriptor = again.release();
    return 0;
  }

  // Closes the one that is too many levels above the last.
  void close_above() {
    if (path.size() <= max_open) return;
    Open& above = path[path.size() - 1 - max_open];
    struct stat status {};
    if (above.descriptor < 0 || fstat(above.descriptor, &status) != 0) return;
    above.inode = status.st_ino;
    close(std::exchange(above.descriptor, -1));
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
  int add_child(Open& parent, const std::string& name) {
    const int closed = parent.descriptor < 0 ? open_again(parent) : 0;
    if (closed != 0) return closed;
    constexpr int flags = directory_flags | O_NOFOLLOW;
    const int same = open_resolved(parent.descriptor, name.c_str(), flags, RESOLVE_NO_XDEV).release();
    if (same >= 0) return add_open(same, name, parent.device);
    if (errno != EXDEV && !is_unknown_call(errno)) return errno;
    const int descriptor = open_entry(parent.descriptor, name.c_str(), flags).release();
    return add_directory(descriptor, name, parent.device);
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
  int add_directory(int descriptor, const std::string& name, dev_t device) {
    if (descriptor < 0) return errno;
    struct stat status {};
    if (fstat(descriptor, &status) != 0) return fail_with(descriptor, errno);
    if (status.st_dev != device && is_kernel_filesystem(descriptor)) return fail_with(descriptor, ENOENT);
    return add_open(descriptor, name, status.st_dev);
  }

  // Watches first and reads afterwards, so that an entry made meanwhile shows up in the events, in the list, or in
  // both. Takes the descriptor.
  int add_open(int descriptor, const std::string& name, dev_t device) {
    const int watch = add_watch(descriptor);
    if (watch < 0) return fail_with(descriptor, errno);
    put_directory(path.size(), watch, name);
    const size_t length = path.empty() ? name.size() : path.back().length + 1 + name.size();
    Open opened{descriptor, device, 0, name, length, {}};
    if (const int error = read_names(opened); error != 0) return fail_with(descriptor, error);
    if (opened.children.empty()) close(descriptor);
    else path.push_back(std::move(opened));
    close_above();
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
    const bool has_path = directory.length + 1 + name.size() < PATH_MAX;
    if (is_directory && recursive && has_path) directory.children.emplace_back(name);
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
