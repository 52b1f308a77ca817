// System calls on open files and paths that may wait for a disk or a network, each as a job: Node's own would keep
// threads of its pool, which all else needs, for as long as a mount whose server is gone does not answer.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "job.h"
#include "mounts.h"
#include "registration.h"
#include "values.h"

namespace envd {

namespace {

// Of a transfer from or to the current position of its file.
constexpr int64_t current_position = -1;

// Bytes of buffers, which stay with JavaScript.
struct Transfer : Job {
  int descriptor = -1;
  int64_t position = current_position;
  std::vector<iovec> pieces;
  std::vector<napi_ref> buffers;

  void release(napi_env env) override {
    for (napi_ref buffer : buffers) napi_delete_reference(env, buffer);
    buffers.clear();
  }

  bool add(napi_env env, napi_value buffer) {
    std::string_view bytes;
    if (!to_view(env, buffer, "bytes", bytes)) return false;
    napi_ref reference = nullptr;
    if (napi_create_reference(env, buffer, 1, &reference) != napi_ok) return false;
    buffers.push_back(reference);
    pieces.push_back({const_cast<char*>(bytes.data()), bytes.size()});
    return true;
  }
};

struct ReadInto : Transfer {
  void run() override {
    const iovec& piece = pieces.front();
    ssize_t count = -1;
    do
      count = position == current_position ? read(descriptor, piece.iov_base, piece.iov_len)
                                           : pread(descriptor, piece.iov_base, piece.iov_len, position);
    while (count < 0 && errno == EINTR);
    if (count < 0) return fail("read", errno);
    put_integer(result, static_cast<uint64_t>(count), 8);
  }
};

struct WritePieces : Transfer {
  void run() override {
    size_t first = 0;
    while (first < pieces.size()) {
      if (pieces[first].iov_len == 0) {
        first++;
        continue;
      }
      const auto left = static_cast<int>(pieces.size() - first);
      const ssize_t count = position == current_position ? writev(descriptor, &pieces[first], left)
                                                         : pwritev(descriptor, &pieces[first], left, position);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return fail("write", count < 0 ? errno : EIO);
      if (position != current_position) position += count;
      first = pass_over(first, static_cast<size_t>(count));
    }
  }

  // The first piece that is not written whole.
  size_t pass_over(size_t first, size_t written) {
    while (written > 0) {
      iovec& piece = pieces[first];
      const size_t taken = std::min(written, piece.iov_len);
      piece.iov_base = static_cast<char*>(piece.iov_base) + taken;
      piece.iov_len -= taken;
      written -= taken;
      if (piece.iov_len == 0) first++;
    }
    return first;
  }
};

// One system call.
struct Call : Job {
  const char* name = "";
  // Its value; negative: it failed with errno. May fill the result itself.
  std::function<int64_t(std::string& result)> work;

  void run() override {
    const int64_t value = work(result);
    if (value < 0) return fail(name, errno);
    if (result.empty()) put_integer(result, static_cast<uint64_t>(value), 8);
  }
};

napi_value start_call(napi_env env, const char* name, std::function<int64_t(std::string&)> work) {
  auto job = std::make_unique<Call>();
  job->name = name;
  job->work = std::move(work);
  return start_job(env, std::move(job), name);
}

void put_status(const struct stat& status, std::string& result) {
  put_integer(result, status.st_mode, 4);
  put_integer(result, status.st_uid, 4);
  put_integer(result, status.st_dev, 8);
  put_integer(result, status.st_ino, 8);
  put_integer(result, status.st_rdev, 8);
  put_integer(result, static_cast<uint64_t>(status.st_size), 8);
  put_integer(result, static_cast<uint64_t>(status.st_blocks), 8);
  for (const timespec& time : {status.st_mtim, status.st_ctim}) {
    put_integer(result, static_cast<uint64_t>(time.tv_sec), 8);
    put_integer(result, static_cast<uint64_t>(time.tv_nsec), 4);
  }
}

napi_value read_into(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<ReadInto>();
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->descriptor)) return nullptr;
  if (!to_integer(env, arguments.at[2], "position", current_position, INT64_MAX, job->position)) return nullptr;
  if (!job->add(env, arguments.at[1])) return nullptr;
  return start_job(env, std::move(job), "read");
}

napi_value write_pieces(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<WritePieces>();
  uint32_t count = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->descriptor)) return nullptr;
  if (!array_length(env, arguments.at[1], "pieces", count)) return nullptr;
  if (!to_integer(env, arguments.at[2], "position", current_position, INT64_MAX, job->position)) return nullptr;
  for (uint32_t i = 0; i < count; i++) {
    napi_value piece = nullptr;
    napi_get_element(env, arguments.at[1], i, &piece);
    if (job->add(env, piece)) continue;
    job->release(env);
    return nullptr;
  }
  return start_job(env, std::move(job), "write");
}

napi_value truncate_file(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  int64_t size = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (!to_integer(env, arguments.at[1], "size", 0, INT64_MAX, size)) return nullptr;
  return start_call(env, "ftruncate", [=](std::string&) { return ftruncate(descriptor, size); });
}

napi_value sync_data(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  return start_call(env, "fdatasync", [=](std::string&) { return fdatasync(descriptor); });
}

napi_value close_file(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  // After EINTR it is closed as well (close(2)).
  return start_call(env, "close", [=](std::string&) { return close(descriptor) < 0 && errno != EINTR ? -1 : 0; });
}

napi_value stat_file(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  return start_call(env, "fstat", [=](std::string& result) {
    struct stat status {};
    if (fstat(descriptor, &status) < 0) return -1;
    put_status(status, result);
    return 0;
  });
}

napi_value stat_path(napi_env env, napi_callback_info info) {
  Arguments arguments;
  std::string path;
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], path)) return nullptr;
  return start_call(env, "lstat", [=](std::string& result) {
    struct stat status {};
    errno = status_of_entry({AT_FDCWD, false}, path.c_str(), walk_patience, status);
    if (errno != 0) return -1;
    put_status(status, result);
    return 0;
  });
}

napi_value free_bytes(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  return start_call(env, "fstatvfs", [=](std::string& result) {
    struct statvfs space {};
    if (fstatvfs(descriptor, &space) < 0) return -1;
    put_integer(result, static_cast<uint64_t>(space.f_bavail) * space.f_frsize, 8);
    return 0;
  });
}

napi_value set_file_mode(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  int64_t mode = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (!to_integer(env, arguments.at[1], "mode", 0, 07777, mode)) return nullptr;
  return start_call(env, "fchmod", [=](std::string&) { return fchmod(descriptor, static_cast<mode_t>(mode)); });
}

napi_value set_file_owner(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  uint32_t uid = 0;
  uint32_t gid = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (!to_id(env, arguments.at[1], "uid", uid) || !to_id(env, arguments.at[2], "gid", gid)) return nullptr;
  return start_call(env, "fchown", [=](std::string&) { return fchown(descriptor, uid, gid); });
}

napi_value unlink_path(napi_env env, napi_callback_info info) {
  Arguments arguments;
  std::string path;
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], path)) return nullptr;
  return start_call(env, "unlink", [=](std::string&) { return unlink(path.c_str()); });
}

napi_value mount_answers(napi_env env, napi_callback_info info) {
  Arguments arguments;
  std::string path;
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], path)) return nullptr;
  return start_call(env, "open", [=](std::string&) {
    const Descriptor place(open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    return place.valid() ? static_cast<int>(answers(place.get(), walk_patience)) : -1;
  });
}

napi_value open_path(napi_env env, napi_callback_info info) {
  Arguments arguments;
  std::string path;
  int64_t flags = 0;
  int64_t mode = 0;
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], path)) return nullptr;
  if (!to_integer(env, arguments.at[1], "flags", 0, INT32_MAX, flags)) return nullptr;
  if (!to_integer(env, arguments.at[2], "mode", 0, 07777, mode)) return nullptr;
  return start_call(env, "open", [=](std::string&) {
    return open(path.c_str(), static_cast<int>(flags) | O_CLOEXEC, static_cast<mode_t>(mode));
  });
}

}  // namespace

void register_file_calls(napi_env env, napi_value exports) {
  export_function(env, exports, "readInto", read_into);
  export_function(env, exports, "writePieces", write_pieces);
  export_function(env, exports, "truncateFile", truncate_file);
  export_function(env, exports, "syncData", sync_data);
  export_function(env, exports, "closeFile", close_file);
  export_function(env, exports, "statFile", stat_file);
  export_function(env, exports, "statPath", stat_path);
  export_function(env, exports, "freeBytes", free_bytes);
  export_function(env, exports, "setFileMode", set_file_mode);
  export_function(env, exports, "setFileOwner", set_file_owner);
  export_function(env, exports, "unlinkPath", unlink_path);
  export_function(env, exports, "mountAnswers", mount_answers);
  export_function(env, exports, "openPath", open_path);
}

}  // namespace envd
