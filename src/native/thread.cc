#include "thread.h"

#include <pthread.h>
#include <signal.h>

#include <cstddef>

namespace envd {

namespace {

// The stack of a thread that makes some system calls; the largest buffers on it have 64 KiB.
constexpr size_t thread_stack_bytes = 256 * 1024;

}  // namespace

int start_thread(void* (*run)(void*), void* data) {
  pthread_attr_t attributes;
  if (const int error = pthread_attr_init(&attributes); error != 0) return error;
  pthread_attr_setstacksize(&attributes, thread_stack_bytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread{};
  const int error = pthread_create(&thread, &attributes, run, data);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return error;
}

}  // namespace envd
