// Stages what is to replace the content of a file: in a file without a name beside it, from where the kernel copies it
// when it is whole.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "descriptor.h"
#include "job.h"
#include "proc-link.h"
#include "registration.h"
#include "values.h"

namespace envd {

namespace {

// Left free for others when the size is known beforehand.
constexpr uint64_t room_left = 16 << 20;
// Copied between two holes, and by one pair of read and write where copy_file_range(2) does not work.
constexpr size_t hole_bytes = 4 << 20;
constexpr size_t buffer_bytes = 256 << 10;

struct OpenStage : Job {
  int target = -1;
  int64_t bytes = 0;

  void run() override { put_integer(result, static_cast<uint32_t>(open_beside().release()), 4); }

  // Not valid: it cannot be staged beside the target.
  Descriptor open_beside() const {
    char path[PATH_MAX];
    const ssize_t length = readlink(proc_link(target).c_str(), path, sizeof path);
    if (length <= 0 || length == sizeof path || path[0] != '/') return Descriptor();
    const std::string name(path, static_cast<size_t>(length));
    const std::string directory = name.substr(0, std::max<size_t>(name.rfind('/'), 1));
    // Whatever directory has this name by now: the file gets no name in it and is closed to other users.
    Descriptor stage(open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    struct stat there {}, here {};
    if (!stage.valid() || fstat(target, &there) < 0 || fstat(stage.get(), &here) < 0) return Descriptor();
    // A file that is mounted alone is on another filesystem than its directory.
    if (there.st_dev != here.st_dev) return Descriptor();
    struct statvfs space {};
    if (fstatvfs(stage.get(), &space) < 0) return Descriptor();
    const uint64_t available = static_cast<uint64_t>(space.f_bavail) * space.f_frsize;
    const bool fits = available >= room_left && available - room_left >= static_cast<uint64_t>(bytes);
    return fits ? std::move(stage) : Descriptor();
  }
};

struct MoveContent : Job {
  int from = -1;
  int to = -1;
  int64_t offset = 0;
  int64_t length = 0;

  void run() override {
    const loff_t end = offset + length;
    for (loff_t at = offset; at < end;) {
      const ssize_t copied = copy(at, static_cast<size_t>(std::min<loff_t>(end - at, hole_bytes)));
      if (copied <= 0) return fail("copy_file_range", copied < 0 ? errno : EIO);
      // So that both together need little more room than one; without holes they need twice as much.
      fallocate(from, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, copied);
      at += copied;
    }
  }

  ssize_t copy(loff_t at, size_t wanted) const {
    loff_t source = at;
    loff_t destination = at;
    ssize_t copied = -1;
    do copied = copy_file_range(from, &source, to, &destination, wanted, 0);
    while (copied < 0 && errno == EINTR);
    const bool unsupported =
        copied < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM);
    // Some filesystems copy nothing and say so without an error.
    return unsupported || copied == 0 ? copy_through_memory(at, wanted) : copied;
  }

  ssize_t copy_through_memory(loff_t at, size_t wanted) const {
    std::vector<char> buffer(std::min(wanted, buffer_bytes));
    const ssize_t read = pread(from, buffer.data(), buffer.size(), at);
    return read <= 0 ? read : pwrite(to, buffer.data(), static_cast<size_t>(read), at);
  }
};

napi_value open_stage(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<OpenStage>();
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->target)) return nullptr;
  if (!to_integer(env, arguments.at[1], "bytes", 0, INT64_MAX, job->bytes)) return nullptr;
  return start_job(env, std::move(job), "openStage");
}

napi_value move_content(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<MoveContent>();
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->from)) return nullptr;
  if (!to_descriptor(env, arguments.at[1], job->to)) return nullptr;
  if (!to_integer(env, arguments.at[2], "offset", 0, INT64_MAX / 2, job->offset)) return nullptr;
  if (!to_integer(env, arguments.at[3], "length", 0, INT64_MAX / 2, job->length)) return nullptr;
  return start_job(env, std::move(job), "moveContent");
}

}  // namespace

void register_stage(napi_env env, napi_value exports) {
  export_function(env, exports, "openStage", open_stage);
  export_function(env, exports, "moveContent", move_content);
}

}  // namespace envd
