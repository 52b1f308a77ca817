// What a move to another filesystem does beside reading and writing, each as a job.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "attributes.h"
#include "job.h"
#include "made.h"
#include "registration.h"
#include "values.h"

namespace envd {

namespace {

struct MakeDirectory : Job {
  std::string path;

  void run() override {
    Descriptor made = make_private_directory(AT_FDCWD, path);
    if (!made.valid()) return fail("mkdir", errno);
    put_integer(result, static_cast<uint32_t>(made.release()), 4);
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
    LinkFacts link;
    if (const int refused = read_link(AT_FDCWD, from, link); refused != 0) return fail("readlink", refused);
    const timespec times[2] = {link.status.st_atim, link.status.st_mtim};
    const NewOwner owner{true, link.status.st_uid, link.status.st_gid};
    const Refused refused = make_link(link.target, AT_FDCWD, to, owner, times);
    if (refused.error != 0) fail(refused.call, refused.error);
  }
};

napi_value make_directory_job(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<MakeDirectory>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
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
  export_function(env, exports, "makeDirectory", make_directory_job);
  export_function(env, exports, "renamePath", between_paths<RenamePath>);
  export_function(env, exports, "copyFacts", copy_facts);
  export_function(env, exports, "copyLink", between_paths<CopyLink>);
}

}  // namespace envd
