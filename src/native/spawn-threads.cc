#include "spawn-threads.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <new>

#include "thread.h"

namespace envd {

namespace {

// The child calls little but syscall(2), plus a 2 KiB buffer.
constexpr size_t guard_bytes = 64 * 1024;

// Threads that wait for the next spawn: enough for what two processors start at a time. Each keeps some pages of its
// two stacks.
constexpr size_t max_waiting = 4;

constexpr size_t kernel_sigset_bytes = 8;

struct Task {
  SpawnWork work = nullptr;
  void* data = nullptr;
};

// None of these has a destructor that could run under a live thread.
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t given = PTHREAD_COND_INITIALIZER;
// What was given to threads that wait and have not taken it yet.
Task tasks[max_waiting];
size_t task_count = 0;
// Threads that wait, without those that something was given to.
size_t waiting = 0;

char* map_stack() {
  constexpr size_t size = guard_bytes + child_stack_bytes;
  void* begin = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (begin == MAP_FAILED) return nullptr;
  // Stacks grow downwards: what stays inaccessible below turns an overflow into a fault instead of silent damage.
  char* stack = static_cast<char*>(begin) + guard_bytes;
  if (mprotect(stack, child_stack_bytes, PROT_READ | PROT_WRITE) == 0) return stack;
  munmap(begin, size);
  return nullptr;
}

// Blocked by the system call rather than by pthread_sigmask(3), which spares the signals that glibc keeps for itself:
// the child must not run any handler before it has reset them. While the thread waits they are let in again.
void perform(const Task& task, char* stack) {
  const uint64_t all = ~uint64_t{0};
  uint64_t before = 0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, kernel_sigset_bytes);
  task.work(task.data, stack);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, kernel_sigset_bytes);
}

// Waits for the next task. False: enough threads wait already.
bool next_task(Task& task) {
  pthread_mutex_lock(&mutex);
  const bool waits = waiting + task_count < max_waiting;
  if (waits) {
    waiting++;
    while (task_count == 0) pthread_cond_wait(&given, &mutex);
    task = tasks[--task_count];
  }
  pthread_mutex_unlock(&mutex);
  return waits;
}

// Whether a thread that waits has taken it.
bool give(const Task& task) {
  pthread_mutex_lock(&mutex);
  const bool taken = waiting > 0;
  if (taken) {
    waiting--;
    tasks[task_count++] = task;
    pthread_cond_signal(&given);
  }
  pthread_mutex_unlock(&mutex);
  return taken;
}

void* spawn_thread(void* first) {
  const std::unique_ptr<Task> owned(static_cast<Task*>(first));
  Task task = *owned;
  char* stack = nullptr;
  do {
    if (stack == nullptr) stack = map_stack();
    perform(task, stack);
  } while (next_task(task));
  if (stack != nullptr) munmap(stack - guard_bytes, guard_bytes + child_stack_bytes);
  return nullptr;
}

}  // namespace

int run_spawn(SpawnWork work, void* data) {
  const Task task{work, data};
  if (give(task)) return 0;
  std::unique_ptr<Task> first(new (std::nothrow) Task(task));
  if (first == nullptr) return ENOMEM;
  const int error = start_thread(spawn_thread, first.get());
  if (error == 0) first.release();
  return error;
}

}  // namespace envd
