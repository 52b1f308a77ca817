// What the kernel knows of the other end of a TCP connection, and how to make it ask: tcp(7), <linux/tcp.h>.
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstring>

#include "registration.h"
#include "values.h"

namespace envd {

namespace {

// TCP_ESTABLISHED, which <netinet/tcp.h> names and <linux/tcp.h> does not.
constexpr uint8_t established = 1;
// TCP_CLOSE: of a connection that was open, that it was reset, or has timed out.
constexpr uint8_t closed = 7;

constexpr size_t max_beginning = 64;

bool get_tcp_info(napi_env env, int descriptor, tcp_info& result) {
  socklen_t length = sizeof result;
  if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &result, &length) < 0) {
    throw_errno(env, "getsockopt", errno);
    return false;
  }
  if (length >= offsetof(tcp_info, tcpi_segs_in) + sizeof result.tcpi_segs_in) return true;
  throw_errno(env, "getsockopt", ENOSYS);
  return false;
}

bool set_option(int descriptor, int level, int name, int value) {
  return setsockopt(descriptor, level, name, &value, sizeof value) == 0;
}

napi_value received_segments(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  tcp_info state{};
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  return get_tcp_info(env, descriptor, state) ? from_integer(env, state.tcpi_segs_in) : nullptr;
}

// Whether the bytes that wait to be read begin with these; if so, they are discarded (MSG_TRUNC in tcp(7)), because
// closing a connection with unread bytes resets it.
bool discard_beginning(int descriptor, const uint8_t* bytes, size_t length) {
  uint8_t waiting[max_beginning];
  const ssize_t count = recv(descriptor, waiting, length, MSG_PEEK | MSG_DONTWAIT);
  if (count != static_cast<ssize_t>(length) || memcmp(waiting, bytes, length) != 0) return false;
  recv(descriptor, nullptr, INT32_MAX, MSG_TRUNC | MSG_DONTWAIT);
  return true;
}

napi_value peer_left(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  void* beginning = nullptr;
  size_t length = 0;
  tcp_info state{};
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (napi_get_buffer_info(env, arguments.at[1], &beginning, &length) != napi_ok || length > max_beginning)
    return throw_errno(env, "recv", EINVAL);
  if (!get_tcp_info(env, descriptor, state)) return nullptr;
  const bool left = state.tcpi_state != established &&
                    (length == 0 || discard_beginning(descriptor, static_cast<const uint8_t*>(beginning), length));
  napi_value result = nullptr;
  napi_get_boolean(env, left, &result);
  return result;
}

napi_value was_reset(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  tcp_info state{};
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  return get_tcp_info(env, descriptor, state) ? from_boolean(env, state.tcpi_state == closed) : nullptr;
}

napi_value accept_connection(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int listening = -1;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], listening)) return nullptr;
  int descriptor = -1;
  // A connection that was reset while it waited is passed over, and so is an error of the network on it (accept(2)).
  do descriptor = accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  while (descriptor < 0 && (errno == EINTR || errno == ECONNABORTED));
  return from_integer(env, descriptor < 0 ? -1 : descriptor);
}

napi_value beginning(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  void* bytes = nullptr;
  size_t length = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (napi_get_buffer_info(env, arguments.at[1], &bytes, &length) != napi_ok) return throw_errno(env, "recv", EINVAL);
  const ssize_t count = recv(descriptor, bytes, length, MSG_PEEK | MSG_DONTWAIT);
  return from_integer(env, count < 0 ? 0 : count);
}

napi_value set_receive_buffer(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  int64_t bytes = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (!to_integer(env, arguments.at[1], "bytes", 0, INT32_MAX, bytes)) return nullptr;
  const bool set = set_option(descriptor, SOL_SOCKET, SO_RCVBUF, static_cast<int>(bytes));
  return set ? nullptr : throw_errno(env, "setsockopt", errno);
}

// Leaving the repair mode sends a window probe, whatever waits in the queues and however far retransmission has backed
// off.
napi_value ask_peer(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  tcp_info state{};
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (!get_tcp_info(env, descriptor, state)) return nullptr;
  if (state.tcpi_state != established) return throw_errno(env, "setsockopt", ENOTCONN);
  int reuse = 0;
  socklen_t length = sizeof reuse;
  if (getsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, &length) < 0)
    return throw_errno(env, "getsockopt", errno);
  if (!set_option(descriptor, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON)) return throw_errno(env, "setsockopt", errno);
  const bool left = set_option(descriptor, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF);
  const int error = errno;
  // The mode resets this, and a daemon that is started anew could then not have its port while the connection lingers.
  set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, reuse);
  return left ? nullptr : throw_errno(env, "setsockopt", error);
}

}  // namespace

void register_peer(napi_env env, napi_value exports) {
  export_function(env, exports, "receivedSegments", received_segments);
  export_function(env, exports, "peerLeft", peer_left);
  export_function(env, exports, "wasReset", was_reset);
  export_function(env, exports, "setReceiveBuffer", set_receive_buffer);
  export_function(env, exports, "askPeer", ask_peer);
  export_function(env, exports, "acceptConnection", accept_connection);
  export_function(env, exports, "beginning", beginning);
}

}  // namespace envd
