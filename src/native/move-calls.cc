// What a move to another filesystem does beside reading and writing, each as a job.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "attributes.h"
#include "job.h"
#include "registration.h"
#include "values.h"

namespace envd {

namespace {

struct MakeDirectory : Job {
  std::string path;
  mode_t mode = 0;

  void run() override {
    if (mkdir(path.c_str(), mode) < 0) fail("mkdir", errno);
  }
};

struct RenamePath : Job {
  std::string from;
  std::string to;

  void run() override {
    if (rename(from.c_str(), to.c_str()) < 0) fail("rename", errno);
  }
};

// Owner first: changing it clears bits of the mode. Times last.
struct CopyFacts : Job {
  int from = -1;
  int to = -1;

  void run() override {
    struct stat status {};
    if (fstat(from, &status) < 0) return fail("fstat", errno);
    if (fchown(to, status.st_uid, status.st_gid) < 0) return fail("fchown", errno);
    if (const int refused = copy_attributes(from, to, ""); refused != 0) return fail("copyAttributes", refused);
    if (fchmod(to, status.st_mode & 07777) < 0) return fail("fchmod", errno);
    const timespec times[2] = {status.st_atim, status.st_mtim};
    if (futimens(to, times) < 0) fail("futimens", errno);
  }
};

struct CopyLink : RenamePath {
  void run() override {
    struct stat status {};
    char target[PATH_MAX];
    if (fstatat(AT_FDCWD, from.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) return fail("lstat", errno);
    const ssize_t length = readlink(from.c_str(), target, sizeof target - 1);
    if (length < 0) return fail("readlink", errno);
    target[length] = 0;
    if (symlink(target, to.c_str()) < 0) return fail("symlink", errno);
    if (lchown(to.c_str(), status.st_uid, status.st_gid) < 0) return fail("lchown", errno);
    const timespec times[2] = {status.st_atim, status.st_mtim};
    if (utimensat(AT_FDCWD, to.c_str(), times, AT_SYMLINK_NOFOLLOW) < 0) fail("utimensat", errno);
  }
};

napi_value make_directory(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<MakeDirectory>();
  int64_t mode = 0;
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_integer(env, arguments.at[1], "mode", 0, 07777, mode)) return nullptr;
  job->mode = static_cast<mode_t>(mode);
  return start_job(env, std::move(job), "mkdir");
}

template <typename Work>
napi_value between_paths(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<Work>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->from)) return nullptr;
  if (!to_path(env, arguments.at[1], job->to)) return nullptr;
  return start_job(env, std::move(job), "move");
}

napi_value copy_facts(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<CopyFacts>();
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->from)) return nullptr;
  if (!to_descriptor(env, arguments.at[1], job->to)) return nullptr;
  return start_job(env, std::move(job), "copyFacts");
}

}  // namespace

void register_move_calls(napi_env env, napi_value exports) {
  export_function(env, exports, "makeDirectory", make_directory);
  export_function(env, exports, "renamePath", between_paths<RenamePath>);
  export_function(env, exports, "copyFacts", copy_facts);
  export_function(env, exports, "copyLink", between_paths<CopyLink>);
}

}  // namespace envd
