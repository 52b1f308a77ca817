// glibc has no clone3(2) with a stack of one's own, and syscall(3) cannot return twice on two stacks, hence the
// assembly. The child shares the daemon's memory and thread pointer, as that of clone(2) in spawn.cc does; see child.cc
// for what follows from that.
#include "clone-into.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include <cstdint>

namespace envd {

namespace {

// As linux/sched.h defines them (struct clone_args, second revision); older kernel headers lack the last members.
constexpr long number_of_clone3 = 435;
constexpr uint64_t into_cgroup = uint64_t{1} << 33;
struct CloneArguments {
  alignas(8) uint64_t flags;
  uint64_t pidfd;
  uint64_t child_tid;
  uint64_t parent_tid;
  uint64_t exit_signal;
  uint64_t stack;
  uint64_t stack_size;
  uint64_t tls;
  uint64_t set_tid;
  uint64_t set_tid_size;
  uint64_t cgroup;
};
static_assert(sizeof(CloneArguments) == 88);
// The kernel writes the pid into the plan.
static_assert(sizeof(std::atomic<pid_t>) == sizeof(pid_t) && std::atomic<pid_t>::is_always_lock_free);

using Entry = int (*)(void*);

// The system call, and in the child `entry(data)` on the new stack. Returns what the parent's call returned: the pid or
// a negative errno.
#if defined(__x86_64__) && defined(__LP64__)

long clone3_and_call(const CloneArguments& arguments, Entry entry, void* data) {
  long result = number_of_clone3;
  // A zero frame pointer ends backtraces; the call leaves the stack as the calling convention has it at a function's
  // start.
  asm volatile(
      "syscall\n\t"
      "testq %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xorl %%ebp, %%ebp\n\t"
      "movq %%rdx, %%rdi\n\t"
      "callq *%%rbx\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(&arguments), "S"(sizeof arguments), "b"(entry), "d"(data)
      : "rcx", "r11", "cc", "memory");
  return result;
}

#elif defined(__aarch64__)

long clone3_and_call(const CloneArguments& arguments, Entry entry, void* data) {
  register long first asm("x0") = reinterpret_cast<long>(&arguments);
  register size_t size asm("x1") = sizeof arguments;
  register Entry function asm("x2") = entry;
  register void* parameter asm("x3") = data;
  register long number asm("x8") = number_of_clone3;
  asm volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, xzr\n\t"
      "mov x30, xzr\n\t"
      "mov x0, x3\n\t"
      "blr x2\n\t"
      "brk #1\n"
      "1:"
      : "+r"(first)
      : "r"(size), "r"(function), "r"(parameter), "r"(number)
      : "cc", "memory");
  return first;
}

#else

long clone3_and_call(const CloneArguments&, Entry, void*) { return -ENOSYS; }

#endif

template <typename T>
uint64_t address_of(T* object) {
  return reinterpret_cast<uintptr_t>(object);
}

}  // namespace

pid_t clone_into_cgroup(ChildPlan& plan, char* stack, size_t stack_bytes, int& pidfd) {
  CloneArguments arguments{};
  // A clone that fails may have set a descriptor that it has closed again.
  int made = -1;
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_PARENT_SETTID | into_cgroup;
  arguments.pidfd = address_of(&made);
  arguments.parent_tid = address_of(&plan.pid);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = address_of(stack);
  arguments.stack_size = stack_bytes;
  arguments.cgroup = static_cast<uint64_t>(plan.cgroup);
  const long result = clone3_and_call(arguments, run_child, &plan);
  if (result >= 0) {
    pidfd = made;
    return static_cast<pid_t>(result);
  }
  errno = static_cast<int>(-result);
  return -1;
}

}  // namespace envd
