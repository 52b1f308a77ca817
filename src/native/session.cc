// Signals to the members of sessions (setsid(2)), and who they are. The kernel has no call for that, and members may be
// in process groups of their own and children of any process, so one walk over the process numbers finds those of all
// sessions that are wanted: getsid(2) takes 0.2 us, and only members are looked at in /proc.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "job.h"
#include "registration.h"
#include "values.h"

namespace envd {

namespace {

struct Target {
  pid_t session;
  // 0 only looks whether it could be signalled.
  int signal;
  // Sent after it; 0: none.
  int second_signal;
  // The leader has been reaped: its number may be another process's by now, and then so is the session of that number.
  bool leader_gone;
  // Its place in the arguments.
  uint32_t index;
};
constexpr uint32_t numbers_per_target = 4;

// Fields of /proc/PID/stat (proc(5)): state is field 3, the mask of ignored signals field 33. The name in field 2 may
// contain anything, also spaces and brackets.
struct Stat {
  char state = 'X';
  bool ignores_hang_up = false;
};

Stat read_stat(pid_t pid) {
  Stat stat;
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return stat;
  char text[1024];
  const ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return stat;
  text[length] = '\0';
  const char* field = strrchr(text, ')');
  if (field == nullptr || strlen(field) < 3) return stat;
  field += 2;
  stat.state = *field;
  for (int number = 3; number < 33 && field != nullptr; number++) {
    field = strchr(field, ' ');
    if (field != nullptr) field++;
  }
  constexpr unsigned long long hang_up = 1ULL << (SIGHUP - 1);
  stat.ignores_hang_up = field != nullptr && (strtoull(field, nullptr, 10) & hang_up) != 0;
  return stat;
}

bool is_dead(char state) { return state == 'Z' || state == 'X'; }

// The number of a session is not used anew while it has members.
bool is_strange(const Target& target) { return target.leader_gone && (kill(target.session, 0) == 0 || errno != ESRCH); }

// pidfd_open(2) may be refused by a sandbox, or find no descriptor left; then the number itself has to do.
long send_signal(int pidfd, pid_t pid, int signal) {
  const long result = pidfd < 0 ? -1 : syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
  return result < 0 && (pidfd < 0 || errno == ENOSYS || errno == EPERM) ? kill(pid, signal) : result;
}

// True if the process is a living member that does not ignore SIGHUP, and was signalled.
bool signal_member(const Target& target, pid_t pid) {
  // Opened before it is looked at, so that the signal goes to who was looked at.
  const auto pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0 && errno == ESRCH) return false;
  const Stat stat = read_stat(pid);
  bool reached = false;
  if (!is_dead(stat.state) && !stat.ignores_hang_up && getsid(pid) == target.session && !is_strange(target)) {
    reached = send_signal(pidfd, pid, target.signal) == 0 || (target.signal == 0 && errno == EPERM);
    if (reached && target.second_signal != 0) send_signal(pidfd, pid, target.second_signal);
  }
  if (pidfd >= 0) close(pidfd);
  return reached;
}

// A walk over all processes.
struct Walk : Job {
  void run() override {
    DIR* directory = opendir("/proc");
    if (directory == nullptr) return fail("opendir", errno);
    while (const dirent* entry = readdir(directory)) {
      const auto pid = static_cast<pid_t>(strtol(entry->d_name, nullptr, 10));
      if (pid > 0) look_at(pid);
    }
    closedir(directory);
  }

  virtual void look_at(pid_t pid) = 0;

  void found(uint32_t index, pid_t pid) {
    put_integer(result, index, 4);
    put_integer(result, static_cast<uint32_t>(pid), 4);
  }
};

struct SignalSessions : Walk {
  // By session.
  std::vector<Target> targets;

  void look_at(pid_t pid) override {
    const pid_t session = getsid(pid);
    // The leader is signalled by who owns its pidfd.
    if (session <= 0 || session == pid) return;
    const auto is_before = [](const Target& target, pid_t wanted) { return target.session < wanted; };
    auto target = std::lower_bound(targets.begin(), targets.end(), session, is_before);
    for (; target != targets.end() && target->session == session; ++target) {
      if (signal_member(*target, pid)) found(target->index, pid);
    }
  }
};

struct ListSessions : Walk {
  // In ascending order.
  std::vector<pid_t> sessions;

  void look_at(pid_t pid) override {
    const pid_t session = getsid(pid);
    const auto place = std::lower_bound(sessions.begin(), sessions.end(), session);
    if (place == sessions.end() || *place != session || is_dead(read_stat(pid).state)) return;
    found(static_cast<uint32_t>(session), pid);
  }
};

bool read_targets(napi_env env, napi_value array, std::vector<Target>& targets) {
  uint32_t length = 0;
  if (!array_length(env, array, "targets", length)) return false;
  for (uint32_t at = 0; at + numbers_per_target <= length; at += numbers_per_target) {
    int64_t numbers[numbers_per_target] = {};
    for (uint32_t part = 0; part < numbers_per_target; part++) {
      napi_value element = nullptr;
      if (napi_get_element(env, array, at + part, &element) != napi_ok) return false;
      if (!to_integer(env, element, "target", 0, INT32_MAX, numbers[part])) return false;
    }
    targets.push_back({static_cast<pid_t>(numbers[0]), static_cast<int>(numbers[1]), static_cast<int>(numbers[2]),
                       numbers[3] != 0, at / numbers_per_target});
  }
  std::sort(targets.begin(), targets.end(), [](const Target& a, const Target& b) { return a.session < b.session; });
  return true;
}

napi_value signal_sessions(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<SignalSessions>();
  if (!get_arguments(env, info, arguments) || !read_targets(env, arguments.at[0], job->targets)) return nullptr;
  return start_thread_job(env, std::move(job), "signalSessions");
}

napi_value list_sessions(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<ListSessions>();
  uint32_t length = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  if (!array_length(env, arguments.at[0], "sessions", length)) return nullptr;
  for (uint32_t at = 0; at < length; at++) {
    napi_value element = nullptr;
    int64_t session = 0;
    if (napi_get_element(env, arguments.at[0], at, &element) != napi_ok) return nullptr;
    if (!to_integer(env, element, "session", 1, INT32_MAX, session)) return nullptr;
    job->sessions.push_back(static_cast<pid_t>(session));
  }
  std::sort(job->sessions.begin(), job->sessions.end());
  return start_thread_job(env, std::move(job), "listSessions");
}

}  // namespace

void register_session(napi_env env, napi_value exports) {
  export_function(env, exports, "signalSessions", signal_sessions);
  export_function(env, exports, "listSessions", list_sessions);
}

}  // namespace envd
