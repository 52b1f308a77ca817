// spawn(spec, done): the daemon's half. Each spawn has a thread for itself rather than one of libuv's pool: CLONE_VFORK
// suspends the calling thread until execve(2), which a slow disk or a frozen cgroup can delay for ever.
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <string_view>

#include "clone-into.h"
#include "registration.h"
#include "spawn-spec.h"
#include "spawn-threads.h"
#include "values.h"

namespace envd {

namespace {

constexpr const char* stage_names[] = {"",         "prepare", "clone",  "cgroup", "keeper", "session",
                                       "terminal", "stdio",   "limits", "user",   "chdir",  "exec"};

struct Spawn {
  SpawnSpec spec;
  napi_threadsafe_function done = nullptr;
  pid_t pid = 0;
  int pidfd = -1;
  Stage failed_stage = Stage::none;
  int failed_errno = 0;
  Spawn* next = nullptr;

  Spawn() = default;
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
  ~Spawn() {
    if (spec.plan.cgroup >= 0) close(spec.plan.cgroup);
    if (spec.plan.deposit.socket >= 0) close(spec.plan.deposit.socket);
  }
};

// The spawns not yet reported, for may_be_starting. Neither object has a destructor that could run under a live thread.
std::mutex unreported_mutex;
Spawn* unreported = nullptr;

void add_unreported(Spawn* spawn) {
  const std::lock_guard lock(unreported_mutex);
  spawn->next = unreported;
  unreported = spawn;
}

void free_spawn(Spawn* spawn) {
  {
    const std::lock_guard lock(unreported_mutex);
    for (Spawn** at = &unreported; *at != nullptr; at = &(*at)->next) {
      if (*at != spawn) continue;
      *at = spawn->next;
      break;
    }
  }
  delete spawn;
}

// The daemon is going away: the process stays, its status is not wanted any more.
void discard(Spawn* spawn) {
  if (spawn->pidfd >= 0) close(spawn->pidfd);
  free_spawn(spawn);
}

void set_failure(Spawn& spawn, Stage stage, int error) {
  spawn.failed_stage = stage;
  spawn.failed_errno = error;
}

// clone(2) puts the pidfd where CLONE_PARENT_SETTID would put the pid. Kernels and sandboxes that do not know
// CLONE_PIDFD ignore it or answer EINVAL; the child cannot be reaped elsewhere before pidfd_open(2) is called.
pid_t clone_and_join(Spawn& spawn, char* stack_top) {
  constexpr int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
  int pidfd = -1;
  pid_t pid = clone(run_child, stack_top, flags | CLONE_PIDFD, &spawn.spec.plan, &pidfd);
  // A clone that fails may have set a descriptor that it has closed again.
  if (pid >= 0) spawn.pidfd = pidfd;
  else if (errno == EINVAL) pid = clone(run_child, stack_top, flags, &spawn.spec.plan);
  return pid;
}

// Kernels before 5.7 know no CLONE_INTO_CGROUP (E2BIG, EINVAL) or no clone3(2) at all (ENOSYS), and sandboxes refuse
// what they cannot look into (ENOSYS, EPERM). Joining from the child does the same, more slowly.
bool cannot_clone_into(int error) { return error == ENOSYS || error == EPERM || error == E2BIG || error == EINVAL; }

void reap(pid_t pid) {
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
}

bool reads(int cgroup, const char* name, std::string_view text) {
  char content[256];
  const int file = openat(cgroup, name, O_RDONLY | O_CLOEXEC);
  const ssize_t length = file < 0 ? -1 : read(file, content, sizeof content);
  if (file >= 0) close(file);
  return length > 0 && std::string_view(content, static_cast<size_t>(length)).find(text) != std::string_view::npos;
}

// Also by a cgroup above. That is not reported as long as a process of it ends.
bool is_frozen(int cgroup) { return reads(cgroup, "cgroup.freeze", "1") || reads(cgroup, "cgroup.events", "frozen 1"); }

// Linux 6.18 kills a child at birth when its cgroup has seen another number of kills (cgroup.kill) than the daemon's
// own: after one kill every command would end before its first instruction. That is ECANCELED here. A child that was
// killed while it waited in a frozen cgroup is a process like others.
pid_t clone_into(Spawn& spawn, char* stack) {
  ChildPlan& plan = spawn.spec.plan;
  const pid_t pid = clone_into_cgroup(plan, stack, child_stack_bytes, spawn.pidfd);
  if (pid < 0 || plan.ran) return pid;
  siginfo_t ended;
  while (waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR) continue;
  if (is_frozen(plan.cgroup)) return pid;
  reap(pid);
  plan.pid = 0;
  if (spawn.pidfd >= 0) close(spawn.pidfd);
  spawn.pidfd = -1;
  errno = ECANCELED;
  return -1;
}

pid_t clone_child(Spawn& spawn, char* stack) {
  ChildPlan& plan = spawn.spec.plan;
  if (plan.cgroup >= 0) {
    const pid_t pid = clone_into(spawn, stack);
    if (pid >= 0 || !(errno == ECANCELED || cannot_clone_into(errno))) return pid;
    plan.join_cgroup = true;
  }
  return clone_and_join(spawn, stack + child_stack_bytes);
}

// What of clone(2) fails for want of something; a cgroup that cannot take the child has other errors.
Stage stage_of_clone(const ChildPlan& plan, int error) {
  const bool into = plan.cgroup >= 0 && !plan.join_cgroup;
  return into && error != EAGAIN && error != ENOMEM ? Stage::cgroup : Stage::clone;
}

void collect(Spawn& spawn) {
  const ChildPlan& plan = spawn.spec.plan;
  if (plan.failed_stage != Stage::none) {
    reap(spawn.pid);
    if (spawn.pidfd >= 0) close(spawn.pidfd);
    spawn.pidfd = -1;
    set_failure(spawn, plan.failed_stage, plan.failed_errno);
    return;
  }
  if (spawn.pidfd >= 0) return;
  spawn.pidfd = static_cast<int>(syscall(SYS_pidfd_open, spawn.pid, 0));
  if (spawn.pidfd >= 0) return;
  set_failure(spawn, Stage::clone, errno);
  kill(spawn.pid, SIGKILL);
  reap(spawn.pid);
}

void start(Spawn& spawn, char* stack) {
  if (stack == nullptr) return set_failure(spawn, Stage::clone, ENOMEM);
  spawn.pid = clone_child(spawn, stack);
  if (spawn.pid >= 0) return collect(spawn);
  set_failure(spawn, stage_of_clone(spawn.spec.plan, errno), errno);
  spawn.pid = 0;
}

// Hands the spawn over to the event loop, which frees it.
void report(Spawn* spawn) {
  napi_threadsafe_function done = spawn->done;
  // Anything but success means that the environment is closing and that it has already let go of this thread.
  if (napi_call_threadsafe_function(done, spawn, napi_tsfn_nonblocking) == napi_ok) {
    napi_release_threadsafe_function(done, napi_tsfn_release);
  } else {
    discard(spawn);
  }
}

void spawn_and_report(void* data, char* stack) {
  auto* spawn = static_cast<Spawn*>(data);
  start(*spawn, stack);
  report(spawn);
}

napi_value result_of(napi_env env, const Spawn& spawn) {
  napi_value result = nullptr;
  napi_create_object(env, &result);
  const bool failed = spawn.failed_stage != Stage::none;
  const char* stage = stage_names[static_cast<size_t>(spawn.failed_stage)];
  napi_set_named_property(env, result, "pid", from_integer(env, spawn.pid));
  napi_set_named_property(env, result, "pidfd", from_integer(env, spawn.pidfd));
  napi_set_named_property(env, result, "deposited", from_boolean(env, spawn.spec.plan.deposit.done));
  napi_set_named_property(env, result, "stage", from_string(env, stage));
  napi_set_named_property(env, result, "errno", from_integer(env, spawn.failed_errno));
  napi_set_named_property(env, result, "code", from_string(env, failed ? error_name(spawn.failed_errno) : ""));
  return result;
}

// Runs on the event loop. No env: the environment closed with the call still in its queue.
void deliver(napi_env env, napi_value done, void*, void* data) {
  auto* spawn = static_cast<Spawn*>(data);
  if (env == nullptr) return discard(spawn);
  napi_value self = nullptr;
  napi_value result = result_of(env, *spawn);
  napi_get_undefined(env, &self);
  if (napi_call_function(env, self, done, 1, &result, nullptr) != napi_ok) raise_pending_exception(env);
  free_spawn(spawn);
}

// A descriptor of the spawn's own: the caller may close its own while the thread waits. Returns 0 or an errno.
int take(int descriptor, int& own) {
  if (descriptor < 0) return 0;
  own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  return own < 0 ? errno : 0;
}

napi_value spawn(napi_env env, napi_callback_info info) {
  Arguments arguments;
  if (!get_arguments(env, info, arguments)) return nullptr;
  auto owned = std::make_unique<Spawn>();
  int error = 0;
  if (!to_function(env, arguments.at[1], "done")) return nullptr;
  if (!read_spawn_spec(env, arguments.at[0], owned->spec, error)) return nullptr;
  const int cgroup_error = take(owned->spec.cgroup, owned->spec.plan.cgroup);
  const int socket_error = take(owned->spec.keeper, owned->spec.plan.deposit.socket);
  if (napi_create_threadsafe_function(env, arguments.at[1], nullptr, from_string(env, "spawn"), 0, 1, nullptr, nullptr,
                                      nullptr, deliver, &owned->done) != napi_ok) {
    return throw_errno(env, "spawn", ENOMEM);
  }
  Spawn* spawn = owned.release();
  add_unreported(spawn);
  if (error != 0) {
    set_failure(*spawn, Stage::prepare, error);
    report(spawn);
  } else if (cgroup_error != 0) {
    set_failure(*spawn, Stage::cgroup, cgroup_error);
    report(spawn);
  } else if (socket_error != 0) {
    set_failure(*spawn, Stage::keeper, socket_error);
    report(spawn);
  } else if (error = run_spawn(spawn_and_report, spawn); error != 0) {
    set_failure(*spawn, Stage::clone, error);
    report(spawn);
  }
  return nullptr;
}

}  // namespace

bool may_be_starting(pid_t pid) {
  const std::lock_guard lock(unreported_mutex);
  for (const Spawn* spawn = unreported; spawn != nullptr; spawn = spawn->next) {
    // A child that has not written its pid yet may have any pid.
    const pid_t child = spawn->spec.plan.pid.load();
    if (child == 0 || child == pid) return true;
  }
  return false;
}

void register_spawn(napi_env env, napi_value exports) { export_function(env, exports, "spawn", spawn); }

}  // namespace envd
