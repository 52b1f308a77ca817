// ioctl_fifreeze(2): stops and resumes all writing to a filesystem. Each call has a thread of its own: a freeze first
// writes out what is dirty, which takes as long as the disk needs, and a thaw must work while blocked writes fill the
// thread pool.
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "job.h"
#include "registration.h"
#include "values.h"

namespace envd {

namespace {

struct FilesystemCall : Job {
  std::string path;
  unsigned long request = 0;
  const char* name = "";

  void run() override {
    const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return fail("open", errno);
    if (ioctl(directory, request, 0) < 0) fail(name, errno);
    close(directory);
  }
};

napi_value call_filesystem(napi_env env, napi_callback_info info, unsigned long request, const char* name) {
  Arguments arguments;
  auto job = std::make_unique<FilesystemCall>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  job->request = request;
  job->name = name;
  return start_thread_job(env, std::move(job), name);
}

napi_value freeze_filesystem(napi_env env, napi_callback_info info) {
  return call_filesystem(env, info, FIFREEZE, "FIFREEZE");
}

napi_value thaw_filesystem(napi_env env, napi_callback_info info) {
  return call_filesystem(env, info, FITHAW, "FITHAW");
}

}  // namespace

void register_filesystem_freeze(napi_env env, napi_value exports) {
  export_function(env, exports, "freezeFilesystem", freeze_filesystem);
  export_function(env, exports, "thawFilesystem", thaw_filesystem);
}

}  // namespace envd
