// Processes by descriptor: pidfd_open(2), pidfd_send_signal(2), waitid(2); and the reaping of processes that no
// other code waits for.
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registration.h"
#include "spawn.h"
#include "values.h"

namespace envd {

namespace {

// As linux/wait.h has it; glibc knows the name since 2.36.
constexpr auto by_pidfd = static_cast<idtype_t>(3);

napi_value pidfd_open_number(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int64_t pid = 0;
  if (!get_arguments(env, info, arguments) || !to_integer(env, arguments.at[0], "pid", 1, INT32_MAX, pid))
    return nullptr;
  const long descriptor = syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0);
  return from_integer(env, descriptor < 0 ? -errno : descriptor);
}

napi_value pidfd_signal(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int pidfd = -1;
  int64_t signal = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], pidfd)) return nullptr;
  if (!to_integer(env, arguments.at[1], "signal", 0, INT32_MAX, signal)) return nullptr;
  const long result = syscall(SYS_pidfd_send_signal, pidfd, static_cast<int>(signal), nullptr, 0);
  return from_integer(env, result < 0 ? -errno : 0);
}

napi_value exit_status(napi_env env, const siginfo_t& info) {
  napi_value status = nullptr;
  napi_create_object(env, &status);
  if (info.si_code == CLD_EXITED) {
    napi_set_named_property(env, status, "exitCode", from_integer(env, info.si_status));
  } else {
    napi_set_named_property(env, status, "signal", from_integer(env, info.si_status));
    napi_set_named_property(env, status, "coreDumped", from_boolean(env, info.si_code == CLD_DUMPED));
  }
  return status;
}

// waitid(2) may be interrupted, also by a tracer.
template <typename Call>
long retried(Call call) {
  long result = 0;
  do result = call();
  while (result < 0 && errno == EINTR);
  return result;
}

int64_t microseconds(const timeval& time) { return static_cast<int64_t>(time.tv_sec) * 1'000'000 + time.tv_usec; }

// waitid(2) of the kernel, unlike that of glibc, also says what the child and those that it waited for have used.
long wait_with_usage(int pidfd, int options, siginfo_t& child, rusage& usage) {
  return retried([&] { return syscall(SYS_waitid, by_pidfd, pidfd, &child, options, &usage); });
}

napi_value wait_for(napi_env env, napi_callback_info info, int options) {
  Arguments arguments;
  int pidfd = -1;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], pidfd)) return nullptr;
  siginfo_t child{};
  rusage usage{};
  if (wait_with_usage(pidfd, options, child, usage) < 0) return throw_errno(env, "waitid", errno);
  // WNOHANG with nothing to report leaves the zeros.
  if (child.si_pid == 0) return nullptr;
  napi_value result = nullptr;
  napi_create_object(env, &result);
  const int64_t cpu = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
  napi_set_named_property(env, result, "status", exit_status(env, child));
  napi_set_named_property(env, result, "cpuMicroseconds", from_integer(env, cpu));
  napi_set_named_property(env, result, "peakKib", from_integer(env, usage.ru_maxrss));
  return result;
}

napi_value pidfd_wait(napi_env env, napi_callback_info info) { return wait_for(env, info, WEXITED | WNOHANG); }

napi_value pidfd_look(napi_env env, napi_callback_info info) {
  return wait_for(env, info, WEXITED | WNOHANG | WNOWAIT);
}

napi_value pidfd_reap(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int pidfd = -1;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], pidfd)) return nullptr;
  siginfo_t child{};
  if (retried([&] { return waitid(by_pidfd, static_cast<id_t>(pidfd), &child, WEXITED | WNOHANG); }) < 0)
    return throw_errno(env, "waitid", errno);
  return nullptr;
}

bool contains(napi_env env, napi_value pids, pid_t pid, bool& found) {
  uint32_t length = 0;
  if (!array_length(env, pids, "ours", length)) return false;
  found = false;
  for (uint32_t index = 0; index < length && !found; index++) {
    napi_value element = nullptr;
    int64_t number = 0;
    if (napi_get_element(env, pids, index, &element) != napi_ok) return false;
    if (!to_integer(env, element, "pid", 0, INT32_MAX, number)) return false;
    found = number == pid;
  }
  return true;
}

// Looks first and reaps by number afterwards. That is safe: the number cannot be used again before the reaping, and
// all else that reaps is this thread, or a spawn, which may_be_starting knows.
napi_value wait_orphan(napi_env env, napi_callback_info info) {
  Arguments arguments;
  if (!get_arguments(env, info, arguments)) return nullptr;
  siginfo_t child{};
  if (retried([&] { return waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT); }) < 0 && errno != ECHILD)
    return throw_errno(env, "waitid", errno);
  bool ours = false;
  if (!contains(env, arguments.at[0], child.si_pid, ours)) return nullptr;
  if (child.si_pid == 0) return from_string(env, "none");
  if (ours || may_be_starting(child.si_pid)) return from_string(env, "ours");
  siginfo_t reaped{};
  if (retried([&] { return waitid(P_PID, static_cast<id_t>(child.si_pid), &reaped, WEXITED | WNOHANG); }) < 0)
    return throw_errno(env, "waitid", errno);
  return from_integer(env, child.si_pid);
}

napi_value set_child_subreaper(napi_env env, napi_callback_info) {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) return throw_errno(env, "prctl", errno);
  return nullptr;
}

}  // namespace

void register_pidfd(napi_env env, napi_value exports) {
  export_function(env, exports, "pidfdOpen", pidfd_open_number);
  export_function(env, exports, "pidfdSignal", pidfd_signal);
  export_function(env, exports, "pidfdWait", pidfd_wait);
  export_function(env, exports, "pidfdLook", pidfd_look);
  export_function(env, exports, "pidfdReap", pidfd_reap);
  export_function(env, exports, "waitOrphan", wait_orphan);
  export_function(env, exports, "setChildSubreaper", set_child_subreaper);
}

}  // namespace envd
