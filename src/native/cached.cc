// openat2(2) with RESOLVE_CACHED (Linux 5.12) fails instead of waiting, and statx(2) with AT_STATX_DONT_SYNC asks no
// server. Extended attributes have no such call, so only files that were seen to have none are answered here: one whose
// inode and time of change are the same has none still.
#include "cached.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <time.h>

#include <array>
#include <functional>
#include <mutex>

#include "actor.h"
#include "descriptor.h"
#include "entry-layout.h"
#include "job.h"
#include "mounts.h"
#include "registration.h"
#include "values.h"
#include "version.h"

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

namespace envd {

namespace {

// Files of which it is known that they have no attributes: 64 KiB, for the files that clients ask for again and again.
constexpr size_t max_files = 1024;
// Filesystems of this machine; a sandbox has a handful.
constexpr size_t max_devices = 16;
// A change so close to the last one may carry the same time: the kernel's clock for files ticks every 10 ms at worst.
constexpr int64_t settled_ns = 50'000'000;
constexpr int64_t ns_per_s = 1'000'000'000;

struct KnownFile {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t changed_s = 0;
  int64_t changed_ns = 0;
  size_t prefix = 0;

  bool operator==(const KnownFile&) const = default;
};

std::mutex mutex;
std::array<KnownFile, max_files> files;
std::array<uint64_t, max_devices> devices;
size_t device_count = 0;

size_t slot_of(const KnownFile& file) { return (file.inode ^ file.device) % max_files; }

bool is_known_device(uint64_t device) {
  const std::lock_guard lock(mutex);
  for (size_t i = 0; i < device_count; i++) {
    if (devices[i] == device) return true;
  }
  return false;
}

void remember_device(uint64_t device) {
  if (is_known_device(device)) return;
  const std::lock_guard lock(mutex);
  if (device_count < max_devices) devices[device_count++] = device;
}

bool is_known_file(const KnownFile& file) {
  const std::lock_guard lock(mutex);
  return files[slot_of(file)] == file;
}

// 0, or the errno. ENOENT is an answer; anything else leaves it to the thread pool.
int look(const std::string& path, uint64_t resolve, int flags, struct statx& status) {
  open_how how{};
  how.flags = static_cast<uint64_t>(O_PATH | O_CLOEXEC | flags);
  how.resolve = RESOLVE_CACHED | resolve;
  const Descriptor entry(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
  if (!entry.valid()) return errno;
  const int ask = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  return statx(entry.get(), "", ask, STATX_BASIC_STATS, &status) < 0 ? errno : 0;
}

// A path whose last name is a name, and that leads nowhere near the daemon's own entries in proc(5).
bool is_plain(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return path.front() == '/' && !name.empty() && name != "." && name != ".." && path.compare(0, 5, "/proc") != 0;
}

napi_value buffer_of(napi_env env, const std::string& bytes) {
  napi_value value = nullptr;
  if (napi_create_buffer_copy(env, bytes.size(), bytes.data(), nullptr, &value) != napi_ok) return nullptr;
  return value;
}

void put_status(std::string& out, const std::string& path, const struct statx& status) {
  put_facts(out, {std::string_view(path).substr(path.rfind('/') + 1), status.stx_mode, status.stx_uid, status.stx_gid,
                  status.stx_size, status.stx_mtime.tv_sec, status.stx_mtime.tv_nsec});
  // No link, no attributes.
  put_integer(out, 0, 1);
  put_integer(out, 0, 4);
}

napi_value read_cached_entry(napi_env env, napi_callback_info info) {
  Arguments arguments;
  std::string path;
  std::string prefix;
  Actor actor;
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], path)) return nullptr;
  if (!to_string(env, arguments.at[1], "prefix", prefix) || !to_actor(env, arguments.at[2], actor)) return nullptr;
  if (path.empty() || !is_plain(path) || actor.own_rights || !actor.beneath.empty()) return nullptr;
  struct statx status {};
  const int error = look(path, RESOLVE_NO_SYMLINKS, O_NOFOLLOW, status);
  if (error == ENOENT) return throw_errno(env, "lstat", ENOENT);
  if (error != 0 || S_ISLNK(status.stx_mode)) return nullptr;
  const KnownFile file{device_of(status), status.stx_ino, status.stx_ctime.tv_sec, status.stx_ctime.tv_nsec,
                       std::hash<std::string>()(prefix)};
  if (!is_known_device(file.device) || !is_known_file(file)) return nullptr;
  std::string packed;
  put_status(packed, path, status);
  return buffer_of(env, packed);
}

napi_value has_version(napi_env env, napi_callback_info info) {
  Arguments arguments;
  std::string path;
  std::string_view version;
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], path)) return nullptr;
  if (!to_view(env, arguments.at[1], "version", version)) return nullptr;
  struct statx status {};
  if (look(path, 0, 0, status) != 0 || !is_known_device(device_of(status))) return from_boolean(env, false);
  std::string packed;
  put_version(packed, status);
  return from_boolean(env, version == packed);
}

struct ReadVersion : Job {
  std::string path;

  void run() override {
    struct stat status {};
    if (stat(path.c_str(), &status) < 0) return fail("stat", errno);
    const Descriptor file(open(path.c_str(), O_PATH | O_CLOEXEC));
    if (file.valid() && is_local(file.get())) remember_device(status.st_dev);
    put_version(result, status);
  }
};

napi_value read_version(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<ReadVersion>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  return start_job(env, std::move(job), "readVersion");
}

}  // namespace

void remember_without_attributes(int descriptor, const struct stat& status, std::string_view prefix) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t age = (now.tv_sec - status.st_ctim.tv_sec) * ns_per_s + (now.tv_nsec - status.st_ctim.tv_nsec);
  if (age < settled_ns || !is_local(descriptor)) return;
  remember_device(status.st_dev);
  const KnownFile file{status.st_dev, status.st_ino, status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
                       std::hash<std::string_view>()(prefix)};
  const std::lock_guard lock(mutex);
  files[slot_of(file)] = file;
}

void register_cached(napi_env env, napi_value exports) {
  export_function(env, exports, "readCachedEntry", read_cached_entry);
  export_function(env, exports, "hasVersion", has_version);
  export_function(env, exports, "readVersion", read_version);
}

}  // namespace envd
