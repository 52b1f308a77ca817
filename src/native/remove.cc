// Deletes a tree by descriptors (openat(2), unlinkat(2)), so that a link that takes a directory's place meanwhile is deleted, not
// followed. Node's fs.rm works by paths.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "job.h"
#include "registration.h"
#include "values.h"

namespace envd {

namespace {

struct RemoveTree : Job {
  std::string path;

  void run() override { remove_entry(AT_FDCWD, path.c_str()); }

  // The first failure counts; whatever else can be deleted is.
  void note(const char* name, int number) {
    if (error == 0 && number != ENOENT) fail(name, number);
  }

  void remove_entry(int directory, const char* name) {
    if (unlinkat(directory, name, 0) == 0 || errno == ENOENT) return;
    const int refused = errno;
    // A directory is EISDIR on Linux, EPERM by POSIX.
    if (refused != EISDIR && refused != EPERM) return note("unlinkat", refused);
    const int descriptor = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return note("unlinkat", errno == ENOTDIR || errno == ELOOP ? refused : errno);
    remove_contents(descriptor);
    if (unlinkat(directory, name, AT_REMOVEDIR) < 0) note("unlinkat", errno);
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
    while (const dirent* entry = readdir(directory)) {
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) remove_entry(descriptor, entry->d_name);
      errno = 0;
    }
    if (errno != 0) note("readdir", errno);
    closedir(directory);
  }
};

napi_value remove_tree(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<RemoveTree>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  return start_job(env, std::move(job), "removeTree");
}

}  // namespace

void register_remove(napi_env env, napi_value exports) { export_function(env, exports, "removeTree", remove_tree); }

}  // namespace envd
