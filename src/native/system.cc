// Of the process, the machine and of sockets, what Node cannot reach: getrlimit(2), _exit(2), clock_settime(2), tcp(7),
// rt_sigaction(2).
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmath>

#include "registration.h"
#include "values.h"

namespace envd {

namespace {

napi_value from_limit(napi_env env, rlim_t limit) {
  napi_value result = nullptr;
  napi_create_double(env, limit == RLIM_INFINITY ? INFINITY : static_cast<double>(limit), &result);
  return result;
}

napi_value no_file_limit(napi_env env, napi_callback_info) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return throw_errno(env, "getrlimit", errno);
  return from_pair(env, from_limit(env, limit.rlim_cur), from_limit(env, limit.rlim_max));
}

napi_value exit_now(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int64_t code = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  if (!to_integer(env, arguments.at[0], "code", 0, 255, code)) return nullptr;
  _exit(static_cast<int>(code));
}

napi_value set_clock(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int64_t seconds = 0;
  int64_t nanoseconds = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  // 2^53 is where a JavaScript number stops being exact.
  if (!to_integer(env, arguments.at[0], "seconds", 0, int64_t{1} << 53, seconds)) return nullptr;
  if (!to_integer(env, arguments.at[1], "nanoseconds", 0, 999'999'999, nanoseconds)) return nullptr;
  timespec now{};
  now.tv_sec = seconds;
  now.tv_nsec = nanoseconds;
  if (clock_settime(CLOCK_REALTIME, &now) < 0) return throw_errno(env, "clock_settime", errno);
  return nullptr;
}

// By the system call: sigaction(3) refuses the signals that glibc keeps for itself. The handler is the first word in
// every architecture's struct, and 1 means SIG_IGN.
napi_value ignore_signal(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int64_t number = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  if (!to_integer(env, arguments.at[0], "number", 1, 64, number)) return nullptr;
  const uint64_t ignore[4] = {1, 0, 0, 0};
  if (syscall(SYS_rt_sigaction, static_cast<int>(number), ignore, nullptr, sizeof(uint64_t)) < 0)
    return throw_errno(env, "rt_sigaction", errno);
  return nullptr;
}

napi_value set_tcp_user_timeout(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  int64_t milliseconds = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (!to_integer(env, arguments.at[1], "milliseconds", 0, INT32_MAX, milliseconds)) return nullptr;
  const auto value = static_cast<unsigned int>(milliseconds);
  if (setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value) < 0)
    return throw_errno(env, "setsockopt", errno);
  return nullptr;
}

}  // namespace

void register_system(napi_env env, napi_value exports) {
  export_function(env, exports, "noFileLimit", no_file_limit);
  export_function(env, exports, "exitNow", exit_now);
  export_function(env, exports, "setClock", set_clock);
  export_function(env, exports, "ignoreSignal", ignore_signal);
  export_function(env, exports, "setTcpUserTimeout", set_tcp_user_timeout);
}

}  // namespace envd
