// inotify(7): the instance, the watches of whole trees, and their removal. Events are read by `read` and taken apart in
// JavaScript. A tree is walked off the event loop; its result is packed, for native/watched-tree.ts to read.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "job.h"
#include "registration.h"
#include "values.h"

namespace envd {

namespace {

constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;

// What was gone or closed to us when its turn came is no failure of the tree around it.
bool is_passed_over(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP || error == EACCES || error == EPERM || error == ENAMETOOLONG ||
         error == ESTALE;
}

struct WatchTree : Job {
  int instance = -1;
  std::string root;
  uint32_t mask = 0;
  bool recursive = false;
  int failure = 0;
  // Relative to the root, each with a slash at its end; the last one is next.
  std::vector<std::string> waiting{""};

  void run() override {
    std::string directories;
    while (!waiting.empty() && failure == 0) {
      const std::string relative = std::move(waiting.back());
      waiting.pop_back();
      const int error = add_directory(directories, relative);
      if (error == 0 || (!relative.empty() && is_passed_over(error))) continue;
      failure = error;
    }
    put_text(result, failure == 0 ? "" : error_name(failure));
    result.append(directories);
  }

  // Watches first and reads afterwards, so that an entry made meanwhile shows up in the events, in the list, or in both. The
  // watch is set through the open descriptor: it cannot be on another directory than the one that is read.
  int add_directory(std::string& out, const std::string& relative) {
    const std::string path = root + "/" + relative;
    const int descriptor = open(path.c_str(), relative.empty() ? directory_flags & ~O_NOFOLLOW : directory_flags);
    if (descriptor < 0) return errno;
    const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
    const int watch = inotify_add_watch(instance, link.c_str(), mask | IN_ONLYDIR);
    DIR* directory = watch < 0 ? nullptr : fdopendir(descriptor);
    if (directory == nullptr) {
      const int error = errno;
      close(descriptor);
      return error;
    }
    put_text(out, relative);
    put_integer(out, static_cast<uint64_t>(watch), 4);
    put_names(out, directory, relative);
    closedir(directory);
    return 0;
  }

  // One block: `d` for a directory or `f` for anything else, the name and a NUL, for each entry.
  void put_names(std::string& out, DIR* directory, const std::string& relative) {
    std::string names;
    while (const dirent* entry = readdir(directory)) {
      if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
      const bool is_directory = is_directory_entry(dirfd(directory), *entry);
      names.push_back(is_directory ? 'd' : 'f');
      names.append(entry->d_name);
      names.push_back('\0');
      if (is_directory && recursive) waiting.push_back(relative + entry->d_name + "/");
    }
    put_text(out, names);
  }

  static bool is_directory_entry(int directory, const dirent& entry) {
    if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
    struct stat status {};
    return fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
  }
};

napi_value open_inotify(napi_env env, napi_callback_info) {
  const int descriptor = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  return descriptor < 0 ? throw_errno(env, "inotify_init1", errno) : from_integer(env, descriptor);
}

napi_value watch_tree(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<WatchTree>();
  int64_t mask = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->instance)) return nullptr;
  if (!to_path(env, arguments.at[1], job->root) || !to_integer(env, arguments.at[2], "mask", 0, UINT32_MAX, mask)) return nullptr;
  if (!to_boolean(env, arguments.at[3], "recursive", job->recursive)) return nullptr;
  job->mask = static_cast<uint32_t>(mask);
  return start_job(env, std::move(job), "watchTree");
}

napi_value remove_watch(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int instance = -1;
  int64_t watch = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], instance)) return nullptr;
  if (!to_integer(env, arguments.at[1], "watch", 0, INT32_MAX, watch)) return nullptr;
  return from_integer(env, inotify_rm_watch(instance, static_cast<int>(watch)) < 0 ? -errno : 0);
}

}  // namespace

void register_watches(napi_env env, napi_value exports) {
  export_function(env, exports, "openInotify", open_inotify);
  export_function(env, exports, "watchTree", watch_tree);
  export_function(env, exports, "removeWatch", remove_watch);
}

}  // namespace envd
