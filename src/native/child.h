// The half of a spawn that runs in the new process, between clone(2) and execve(2).
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <atomic>

#include "child-deposit.h"

namespace envd {

// Where a start stood when it failed; the names are those of SpawnStage in spawn-spec.ts.
enum class Stage { none, prepare, clone, cgroup, keeper, session, terminal, stdio, limits, user, chdir, exec };

// All that the child needs, ready made, because it may not allocate: it shares the daemon's memory, locks included. The
// pointers belong to the spawning side and outlive the child's use of them.
struct ChildPlan {
  const char* file = nullptr;
  // The directories to look in, separated by colons; null if `file` is used as it is.
  const char* search_path = nullptr;
  // Room for the longest directory of `search_path`, a slash, `file` and a terminator.
  char* candidate = nullptr;
  char* const* argv = nullptr;
  // "/bin/sh", a slot for the script's path, and the arguments from argv[1] on.
  const char** shell_argv = nullptr;
  char* const* envp = nullptr;
  const char* cwd = nullptr;
  int stdio[3] = {-1, -1, -1};
  bool terminal = false;
  // A descriptor of the directory of the cgroup (version 2) to be in; -1: the daemon's own.
  int cgroup = -1;
  // The child has to join it by itself.
  bool join_cgroup = false;
  // What is deposited with the keeper before the program runs.
  ChildDeposit deposit;

  bool has_user = false;
  uid_t uid = 0;
  gid_t gid = 0;
  const gid_t* groups = nullptr;
  size_t group_count = 0;

  bool has_no_file = false;
  rlim_t no_file = 0;
  // RLIMIT_AS.
  bool has_memory = false;
  rlim_t memory = 0;
  const char* oom_score_adj = nullptr;
  size_t oom_score_adj_length = 0;
  bool has_nice = false;
  int nice = 0;
  bool has_io_priority = false;
  int io_priority = 0;

  // Written by the child into the shared memory; the kernel may write the pid before.
  std::atomic<pid_t> pid{0};
  std::atomic<bool> ran{false};
  Stage failed_stage = Stage::none;
  int failed_errno = 0;
};

// The entry for clone(2); takes a ChildPlan and never returns. All signals must be blocked when it starts.
int run_child(void* plan);

}  // namespace envd
