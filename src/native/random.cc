// Random bytes of the kernel, and what it makes them of: getrandom(2), random(4).
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "registration.h"
#include "values.h"

namespace envd {

namespace {

// What getrandom(2) returns in one piece, never interrupted.
constexpr int64_t max_length = 256;

// The system call itself: the C library may keep bytes in memory, and that is part of a snapshot.
napi_value random_bytes(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int64_t length = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  if (!to_integer(env, arguments.at[0], "length", 0, max_length, length)) return nullptr;
  uint8_t bytes[max_length];
  if (syscall(SYS_getrandom, bytes, static_cast<size_t>(length), 0) != length)
    return throw_errno(env, "getrandom", errno);
  napi_value result = nullptr;
  napi_create_buffer_copy(env, static_cast<size_t>(length), bytes, nullptr, &result);
  return result;
}

napi_value reseed_random(napi_env env, napi_callback_info info) {
  Arguments arguments;
  Bytes seed{};
  if (!get_arguments(env, info, arguments)) return nullptr;
  if (!to_bytes(env, {arguments.at[0], arguments.at[1], arguments.at[2]}, seed)) return nullptr;
  const int descriptor = open("/dev/urandom", O_WRONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return throw_errno(env, "open", errno);
  const char* failed = nullptr;
  if (write(descriptor, seed.start, seed.length) < 0) failed = "write";
  else if (ioctl(descriptor, RNDRESEEDCRNG) < 0) failed = "ioctl";
  const int error = errno;
  close(descriptor);
  return failed == nullptr ? nullptr : throw_errno(env, failed, error);
}

}  // namespace

void register_random(napi_env env, napi_value exports) {
  export_function(env, exports, "randomBytes", random_bytes);
  export_function(env, exports, "reseedRandom", reseed_random);
}

}  // namespace envd
