// Plain descriptors: pipe(2), read(2), write(2), close(2), fcntl(2), fchown(2).
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "registration.h"
#include "values.h"

namespace envd {

namespace {

napi_value open_pipe(napi_env env, napi_callback_info) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return throw_errno(env, "pipe2", errno);
  return from_pair(env, from_integer(env, ends[0]), from_integer(env, ends[1]));
}

bool get_transfer(napi_env env, napi_callback_info info, int& descriptor, Bytes& bytes) {
  Arguments arguments;
  return get_arguments(env, info, arguments) && to_descriptor(env, arguments.at[0], descriptor) &&
         to_bytes(env, {arguments.at[1], arguments.at[2], arguments.at[3]}, bytes);
}

napi_value read_bytes(napi_env env, napi_callback_info info) {
  int descriptor = -1;
  Bytes bytes{};
  if (!get_transfer(env, info, descriptor, bytes)) return nullptr;
  ssize_t count = 0;
  do count = read(descriptor, bytes.start, bytes.length);
  while (count < 0 && errno == EINTR);
  return from_integer(env, count < 0 ? -errno : count);
}

// Node ignores SIGPIPE for the whole process, so that a broken pipe is EPIPE and no more.
napi_value write_bytes(napi_env env, napi_callback_info info) {
  int descriptor = -1;
  Bytes bytes{};
  if (!get_transfer(env, info, descriptor, bytes)) return nullptr;
  ssize_t count = 0;
  do count = write(descriptor, bytes.start, bytes.length);
  while (count < 0 && errno == EINTR);
  return from_integer(env, count < 0 ? -errno : count);
}

napi_value close_descriptor(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  // Not repeated after EINTR: the number may already be used anew (close(2), "Dealing with error returns").
  close(descriptor);
  return nullptr;
}

napi_value set_non_blocking(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  const int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0) return throw_errno(env, "fcntl", errno);
  return nullptr;
}

napi_value duplicate(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  const int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? throw_errno(env, "fcntl", errno) : from_integer(env, copy);
}

napi_value change_owner(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  uint32_t uid = 0;
  uint32_t gid = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (!to_id(env, arguments.at[1], "uid", uid) || !to_id(env, arguments.at[2], "gid", gid)) return nullptr;
  if (fchown(descriptor, uid, gid) < 0) return throw_errno(env, "fchown", errno);
  return nullptr;
}

napi_value waiting_bytes(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  int bytes = 0;
  return from_integer(env, ioctl(descriptor, FIONREAD, &bytes) < 0 ? -errno : bytes);
}

}  // namespace

void register_descriptors(napi_env env, napi_value exports) {
  export_function(env, exports, "pipe", open_pipe);
  export_function(env, exports, "read", read_bytes);
  export_function(env, exports, "write", write_bytes);
  export_function(env, exports, "close", close_descriptor);
  export_function(env, exports, "setNonBlocking", set_non_blocking);
  export_function(env, exports, "duplicate", duplicate);
  export_function(env, exports, "changeOwner", change_owner);
  export_function(env, exports, "waitingBytes", waiting_bytes);
}

}  // namespace envd
