#include "job.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "values.h"

namespace envd {

namespace {

// The stack of a thread that makes a few system calls.
constexpr size_t thread_stack_bytes = 256 * 1024;

// Settles the promise of a job.
void settle(napi_env env, const std::unique_ptr<Job>& job) {
  napi_value value = nullptr;
  if (job->error != 0) {
    const std::string message = std::string(job->call) + ": " + error_name(job->error);
    napi_value code = from_string(env, error_name(job->error));
    napi_value text = from_string(env, message.c_str());
    napi_create_error(env, code, text, &value);
    napi_set_named_property(env, value, "syscall", from_string(env, job->call));
    napi_reject_deferred(env, job->deferred, value);
  } else {
    auto* bytes = new std::string(std::move(job->result));
    const auto release = [](napi_env, void*, void* hint) { delete static_cast<std::string*>(hint); };
    if (napi_create_external_buffer(env, bytes->size(), bytes->data(), release, bytes, &value) != napi_ok) {
      napi_create_buffer_copy(env, bytes->size(), bytes->data(), nullptr, &value);
      delete bytes;
    }
    napi_resolve_deferred(env, job->deferred, value);
  }
}

void complete(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  settle(env, job);
  napi_delete_async_work(env, job->work);
}

// Runs on the event loop. No env: the environment closed with the call still in its queue.
void deliver(napi_env env, napi_value, void*, void* data) {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  if (env != nullptr) settle(env, job);
}

// Hands the job over to the event loop, which frees it. Anything but success means that the environment is closing and
// has already let go of this thread.
void report(Job* job) {
  napi_threadsafe_function done = job->done;
  if (napi_call_threadsafe_function(done, job, napi_tsfn_nonblocking) == napi_ok) {
    napi_release_threadsafe_function(done, napi_tsfn_release);
  } else {
    delete job;
  }
}

void* run_thread(void* data) {
  auto* job = static_cast<Job*>(data);
  job->run();
  report(job);
  return nullptr;
}

// 0, or the errno. The thread takes no signals: they are for the main thread.
int start_thread(Job* job) {
  pthread_attr_t attributes;
  if (const int error = pthread_attr_init(&attributes); error != 0) return error;
  pthread_attr_setstacksize(&attributes, thread_stack_bytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread{};
  const int error = pthread_create(&thread, &attributes, run_thread, job);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return error;
}

bool queue(napi_env env, std::unique_ptr<Job> job, const char* name) {
  const auto execute = [](napi_env, void* data) { static_cast<Job*>(data)->run(); };
  napi_create_async_work(env, nullptr, from_string(env, name), execute, complete, job.get(), &job->work);
  if (napi_queue_async_work(env, job->work) != napi_ok) return false;
  job.release();
  return true;
}

}  // namespace

napi_value start_job(napi_env env, std::unique_ptr<Job> job, const char* name) {
  napi_value promise = nullptr;
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok) return nullptr;
  return queue(env, std::move(job), name) ? promise : nullptr;
}

napi_value start_thread_job(napi_env env, std::unique_ptr<Job> job, const char* name) {
  napi_value promise = nullptr;
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok) return nullptr;
  if (napi_create_threadsafe_function(env, nullptr, nullptr, from_string(env, name), 0, 1, nullptr, nullptr, nullptr,
                                      deliver, &job->done) != napi_ok) {
    return throw_errno(env, name, ENOMEM);
  }
  Job* started = job.release();
  if (start_thread(started) == 0) return promise;
  job.reset(started);
  napi_release_threadsafe_function(job->done, napi_tsfn_abort);
  return queue(env, std::move(job), name) ? promise : nullptr;
}

void put_integer(std::string& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) out.push_back(static_cast<char>(value >> (8 * i)));
}

void put_text(std::string& out, std::string_view text) {
  put_integer(out, text.size(), 4);
  out.append(text);
}

}  // namespace envd
