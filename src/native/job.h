// Work off the event loop whose outcome settles a promise.
#pragma once

#include <node_api.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace envd {

// One piece of work, on the thread pool or on a thread of its own. `run` may not touch JavaScript.
struct Job {
  virtual ~Job() = default;
  virtual void run() = 0;
  // Lets go of what belongs to JavaScript, on the event loop, before the promise is settled.
  virtual void release(napi_env) {}
  // Lets go of the result of a job that was left.
  virtual void discard() {}

  napi_async_work work = nullptr;
  napi_threadsafe_function done = nullptr;
  napi_deferred deferred = nullptr;
  // The call that failed, and its errno; 0: none did.
  const char* call = "";
  int error = 0;
  // The packed result.
  std::string result;
  // Such a job is given up when its system call does not return: nothing of JavaScript's is used by it, and it changes
  // nothing once it was left.
  bool may_be_left = false;
  std::atomic<bool> left{false};
  // That it runs on; 0: none.
  std::atomic<pid_t> thread{0};

  void fail(const char* name, int number) {
    call = name;
    error = number;
  }
};

// Queues a job and returns its promise: of a Buffer with the packed result, or of an Error with `code` and `syscall`.
// Six work at a time; one that takes longer than 20 ms is no longer counted, and with 512 of those others fail with
// EAGAIN. One that may be left fails with ETIMEDOUT when it hangs for 30 s, and counts until its system call returns.
napi_value start_job(napi_env env, std::unique_ptr<Job> job, const char* name);
// The same on a thread of its own, for what must not wait for the thread pool, or could hold it for long; on the pool
// where no thread can be made any more.
napi_value start_thread_job(napi_env env, std::unique_ptr<Job> job, const char* name);

// The same as `start_job` for one that may be left.
napi_value start_question(napi_env env, std::unique_ptr<Job> job, const char* name);

// Little-endian, `bytes` long.
void put_integer(std::string& out, uint64_t value, size_t bytes);
// Four bytes of length, then the bytes.
void put_text(std::string& out, std::string_view text);

}  // namespace envd
