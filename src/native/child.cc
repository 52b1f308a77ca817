// This code runs in a process that shares the daemon's memory (CLONE_VM), on a stack of its own, while other threads of
// the daemon go on. Therefore: no allocation, no locks, no glibc function beyond syscall(2) (its wrappers for setuid
// and the like signal all threads of what they take for their own process), and nothing of the daemon's memory is
// changed except the plan. errno is that of the thread that called clone, which is suspended meanwhile (CLONE_VFORK).
//
// Dropping privileges while the memory is shared is safe: the kernel makes memory undumpable when the uid of one of its
// processes changes (PR_SET_DUMPABLE in prctl(2)), so the new user cannot ptrace(2) the child before it has called
// execve.
#include "child.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace envd {

namespace {

constexpr int kernel_signals = 64;
constexpr size_t kernel_sigset_bytes = 8;
constexpr int first_inherited = 3;
constexpr int exit_code_of_a_failed_start = 127;

// As linux/ioprio.h and getdents64(2) define them; older kernel headers lack the former.
constexpr int ioprio_who_process = 1;
struct DirectoryEntry {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[1];
};

[[noreturn]] IN_CHILD void fail(ChildPlan& plan, Stage stage) {
  plan.failed_errno = errno;
  plan.failed_stage = stage;
  for (;;) syscall(SYS_exit_group, exit_code_of_a_failed_start);
}

// Handlers are code of the daemon and must not run here, and an ignored signal would stay ignored after execve(2). All
// zeros mean SIG_DFL in every architecture's struct of rt_sigaction(2). Errors: SIGKILL and SIGSTOP cannot be changed.
IN_CHILD void reset_signals() {
  const uint64_t default_action[4] = {0, 0, 0, 0};
  for (int number = 1; number <= kernel_signals; number++) {
    syscall(SYS_rt_sigaction, number, default_action, nullptr, kernel_sigset_bytes);
  }
  const uint64_t none = 0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, kernel_sigset_bytes);
}

// As root still, and before anything that a user could make slow: freezes and limits of the cgroup rely on it.
IN_CHILD void join_cgroup(ChildPlan& plan) {
  const long file = syscall(SYS_openat, plan.cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
  if (file < 0) fail(plan, Stage::cgroup);
  // 0 stands for the writer itself.
  if (syscall(SYS_write, file, "0", 1) < 0) fail(plan, Stage::cgroup);
  syscall(SYS_close, file);
}

IN_CHILD void set_stdio(ChildPlan& plan) {
  // A source that is itself 0, 1 or 2 could be overwritten before its turn.
  for (int& source : plan.stdio) {
    if (source < first_inherited) source = static_cast<int>(syscall(SYS_fcntl, source, F_DUPFD, first_inherited));
    if (source < 0) fail(plan, Stage::stdio);
  }
  for (int target = 0; target < first_inherited; target++) {
    if (syscall(SYS_dup3, plan.stdio[target], target, 0) < 0) fail(plan, Stage::stdio);
  }
}

IN_CHILD void close_listed(int directory) {
  alignas(DirectoryEntry) char buffer[2048];
  for (;;) {
    const long size = syscall(SYS_getdents64, directory, buffer, sizeof buffer);
    if (size <= 0) return;
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(buffer + at);
      int number = 0;
      // "." and ".." come out negative and are left alone.
      for (const char* digit = entry->name; *digit != '\0'; digit++) number = number * 10 + (*digit - '0');
      if (number >= first_inherited && number != directory) syscall(SYS_close, number);
      at += entry->length;
    }
  }
}

// close_range(2) is missing before Linux 5.9 (ENOSYS) and refused by old seccomp profiles (EPERM).
IN_CHILD void close_inherited() {
  if (syscall(SYS_close_range, first_inherited, ~0U, 0) == 0) return;
  const auto directory = static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY));
  if (directory >= 0) {
    close_listed(directory);
    syscall(SYS_close, directory);
    return;
  }
  rlimit limit{};
  syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
  for (rlim_t number = first_inherited; number < limit.rlim_cur; number++) syscall(SYS_close, number);
}

IN_CHILD void set_limits(const ChildPlan& plan) {
  rlimit limit{};
  if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit) < 0) return;
  limit.rlim_cur = plan.no_file < limit.rlim_max ? plan.no_file : limit.rlim_max;
  syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, nullptr);
}

IN_CHILD void set_memory(const ChildPlan& plan) {
  const rlimit limit{plan.memory, plan.memory};
  syscall(SYS_prlimit64, 0, RLIMIT_AS, &limit, nullptr);
}

// All best effort: containers may lack /proc, or the right to lower a value (contract D3).
IN_CHILD void set_priorities(const ChildPlan& plan) {
  if (plan.oom_score_adj != nullptr) {
    const long file = syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY);
    if (file >= 0) {
      syscall(SYS_write, file, plan.oom_score_adj, plan.oom_score_adj_length);
      syscall(SYS_close, file);
    }
  }
  if (plan.has_nice) syscall(SYS_setpriority, PRIO_PROCESS, 0, plan.nice);
  if (plan.has_io_priority) syscall(SYS_ioprio_set, ioprio_who_process, 0, plan.io_priority);
}

// For a right that a sandbox has taken away: EPERM without the capability, EINVAL for an id that the user namespace
// does not map, ENOSYS from a filter. The daemon's own user gains nothing by groups that the daemon has itself, so it
// goes on with them.
IN_CHILD void check_identity(ChildPlan& plan, long result, bool is_own) {
  if (result >= 0) return;
  const bool refused = errno == EPERM || errno == EINVAL || errno == ENOSYS;
  if (!is_own || !refused) fail(plan, Stage::user);
}

// Groups first, then the gid, then the uid: after the last one the right to change the others is gone.
IN_CHILD void become_user(ChildPlan& plan) {
  const bool is_own = syscall(SYS_geteuid) == static_cast<long>(plan.uid);
  check_identity(plan, syscall(SYS_setgroups, plan.group_count, plan.groups), is_own);
  check_identity(plan, syscall(SYS_setresgid, plan.gid, plan.gid, plan.gid), is_own);
  check_identity(plan, syscall(SYS_setresuid, plan.uid, plan.uid, plan.uid), is_own);
}

// Returns only if it failed, with errno set.
IN_CHILD void execute(const ChildPlan& plan, const char* path) {
  syscall(SYS_execve, path, plan.argv, plan.envp);
  if (errno != ENOEXEC) return;
  // A script without "#!" is run by the shell, as execvp(3) and POSIX have it.
  plan.shell_argv[1] = path;
  syscall(SYS_execve, plan.shell_argv[0], plan.shell_argv, plan.envp);
  // An ENOENT here would speak of the shell, not of the command.
  if (errno == ENOENT) errno = ENOEXEC;
}

IN_CHILD bool may_be_elsewhere(int error) {
  return error == ENOENT || error == ENOTDIR || error == EACCES || error == ESTALE || error == ENODEV ||
         error == ETIMEDOUT;
}

// The search of execvp(3): a directory that lacks the file or forbids it is passed over, and a refusal is only reported
// if nothing else was found. Returns only if it failed, with errno set.
IN_CHILD void search_and_execute(const ChildPlan& plan) {
  bool refused = false;
  const char* directory = plan.search_path;
  for (;;) {
    char* end = plan.candidate;
    for (; *directory != '\0' && *directory != ':'; directory++) *end++ = *directory;
    // An empty element means the current directory.
    if (end != plan.candidate) *end++ = '/';
    for (const char* letter = plan.file; *letter != '\0'; letter++) *end++ = *letter;
    *end = '\0';
    execute(plan, plan.candidate);
    if (!may_be_elsewhere(errno)) return;
    if (errno == EACCES) refused = true;
    if (*directory == '\0') break;
    directory++;
  }
  errno = refused ? EACCES : ENOENT;
}

}  // namespace

IN_CHILD int run_child(void* data) {
  ChildPlan& plan = *static_cast<ChildPlan*>(data);
  const auto own = static_cast<pid_t>(syscall(SYS_getpid));
  plan.pid.store(own);
  plan.ran.store(true);
  reset_signals();
  if (plan.join_cgroup) join_cgroup(plan);
  // As root still, and with the descriptors of the daemon.
  errno = deposit_child(plan.deposit, own);
  if (errno != 0) fail(plan, Stage::keeper);
  if (syscall(SYS_setsid) < 0) fail(plan, Stage::session);
  if (plan.terminal && syscall(SYS_ioctl, plan.stdio[0], TIOCSCTTY, 0) < 0) fail(plan, Stage::terminal);
  set_stdio(plan);
  close_inherited();
  if (plan.has_no_file) set_limits(plan);
  if (plan.has_memory) set_memory(plan);
  set_priorities(plan);
  if (plan.has_user) become_user(plan);
  if (syscall(SYS_chdir, plan.cwd) < 0) fail(plan, Stage::chdir);
  if (plan.search_path == nullptr) execute(plan, plan.file);
  else search_and_execute(plan);
  fail(plan, Stage::exec);
}

}  // namespace envd
