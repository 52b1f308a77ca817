// Opens a file that is to be written anew, and finishes it, each in one piece of work: every trip to the thread pool costs
// more than the system calls it is for.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "job.h"
#include "registration.h"
#include "values.h"

namespace envd {

namespace {

// O_NONBLOCK: a FIFO that takes the file's place meanwhile must not stop the thread.
constexpr int write_flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
constexpr mode_t new_file_mode = 0666;

struct OpenToWrite : Job {
  std::string path;
  uint32_t uid = 0;
  uint32_t gid = 0;

  void run() override {
    struct stat status {};
    // Looked at before it is opened: opening a device may have effects of its own.
    const bool exists = stat(path.c_str(), &status) == 0;
    if (!exists && errno != ENOENT) return fail("stat", errno);
    if (exists && !S_ISREG(status.st_mode)) return report(-1, status.st_mode, 0);
    // Without O_CREAT first, which the kernel refuses even to root for somebody else's file in a world-writable directory.
    int descriptor = exists ? open(path.c_str(), write_flags) : -1;
    if (descriptor < 0 && errno == ENOENT) descriptor = open(path.c_str(), write_flags | O_CREAT, new_file_mode);
    if (descriptor < 0) return fail("open", errno);
    if (fstat(descriptor, &status) < 0) return give_up(descriptor, "fstat");
    if (!S_ISREG(status.st_mode)) {
      close(descriptor);
      return report(-1, status.st_mode, 0);
    }
    // Before it is emptied, so that what is written counts for the owner.
    if (fchown(descriptor, uid, gid) < 0) return report(descriptor, status.st_mode, errno);
    if (status.st_size > 0 && ftruncate(descriptor, 0) < 0) return give_up(descriptor, "ftruncate");
    report(descriptor, status.st_mode, 0);
  }

  void give_up(int descriptor, const char* name) {
    fail(name, errno);
    close(descriptor);
  }

  void report(int descriptor, mode_t mode, int owner_error) {
    put_integer(result, static_cast<uint32_t>(descriptor), 4);
    put_integer(result, mode, 4);
    put_text(result, owner_error == 0 ? "" : error_name(owner_error));
  }
};

napi_value open_to_write(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<OpenToWrite>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_id(env, arguments.at[1], "uid", job->uid) || !to_id(env, arguments.at[2], "gid", job->gid)) return nullptr;
  return start_job(env, std::move(job), "openToWrite");
}

}  // namespace

void register_write_file(napi_env env, napi_value exports) { export_function(env, exports, "openToWrite", open_to_write); }

}  // namespace envd
