// Starting a child right inside a cgroup, with clone3(2).
#pragma once

#include <sys/types.h>

#include "child.h"

namespace envd {

// Like clone(2) of `run_child` with CLONE_VM, CLONE_VFORK and CLONE_PIDFD on the stack of `stack_bytes` from `stack`,
// whose end is aligned to 16 bytes, but the child is in the cgroup of version 2 that the descriptor `plan.cgroup` is
// open on from its first instruction (CLONE_INTO_CGROUP). The child's pid is in `plan.pid` before the child runs, which
// in a frozen cgroup may take any time. Returns the pid and sets `pidfd`, or -1 with errno; ENOSYS also on processors
// that it has no code for.
pid_t clone_into_cgroup(ChildPlan& plan, char* stack, size_t stack_bytes, int& pidfd);

}  // namespace envd
