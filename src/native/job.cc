#include "job.h"

#include <errno.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "spent-time.h"
#include "thread.h"
#include "values.h"

namespace envd {

namespace {

void reject(napi_env env, const Job& job, const char* call, int error) {
  napi_value value = nullptr;
  const std::string message = std::string(call) + ": " + error_name(error);
  napi_create_error(env, from_string(env, error_name(error)), from_string(env, message.c_str()), &value);
  napi_set_named_property(env, value, "syscall", from_string(env, call));
  napi_reject_deferred(env, job.deferred, value);
}

// Settles the promise of a job.
void settle(napi_env env, const std::unique_ptr<Job>& job) {
  job->release(env);
  if (job->left) return job->discard();
  napi_value value = nullptr;
  if (job->error != 0) {
    reject(env, *job, job->call, job->error);
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

void on_ended(napi_env env, const Job* job);

void complete(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  settle(env, job);
  napi_delete_async_work(env, job->work);
  on_ended(env, job.get());
}

// Runs on the event loop. No env: the environment closed with the call still in its queue.
void deliver(napi_env env, napi_value, void*, void* data) {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  if (env == nullptr) return;
  settle(env, job);
  on_ended(env, job.get());
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

void run(Job* job) {
  job->thread = gettid();
  job->run();
  job->thread = 0;
}

void* run_thread(void* data) {
  auto* job = static_cast<Job*>(data);
  run(job);
  report(job);
  return nullptr;
}

// False: the job is still the caller's.
bool run_on_pool(napi_env env, std::unique_ptr<Job>& job, const char* name) {
  const auto execute = [](napi_env, void* data) { run(static_cast<Job*>(data)); };
  napi_create_async_work(env, nullptr, from_string(env, name), execute, complete, job.get(), &job->work);
  if (napi_queue_async_work(env, job->work) != napi_ok) {
    napi_delete_async_work(env, job->work);
    return false;
  }
  job.release();
  return true;
}

// 0, or the errno: the job is still the caller's.
int run_on_thread(napi_env env, std::unique_ptr<Job>& job, const char* name) {
  if (napi_create_threadsafe_function(env, nullptr, nullptr, from_string(env, name), 0, 1, nullptr, nullptr, nullptr,
                                      deliver, &job->done) != napi_ok) {
    return ENOMEM;
  }
  if (const int error = start_thread(run_thread, job.get()); error != 0) {
    napi_release_threadsafe_function(job->done, napi_tsfn_abort);
    job->done = nullptr;
    return error;
  }
  job.release();
  return 0;
}

// Null: the environment is closing.
uv_loop_t* loop_of(napi_env env) {
  uv_loop_t* loop = nullptr;
  return napi_get_uv_event_loop(env, &loop) == napi_ok ? loop : nullptr;
}

// Jobs that work at a time. The pool has 16 threads (`scripts/launch-options`), the others are for what Node does.
constexpr size_t max_working = 6;
// After so long a job may be one that hangs, as on a mount whose server is gone, and no longer counts as working.
constexpr uint64_t stuck_ns = 20'000'000;
constexpr uint64_t timer_ms = 10;
// Jobs in sum that do not end, each on a thread of some 20 KiB. Beyond that everything is refused.
constexpr size_t max_stuck = 512;
// One that may be left is when its thread has had no time on a processor at so many looks, one second after the other:
// the slowest of filesystems that are there answer sooner.
constexpr unsigned max_still = 30;
constexpr uint64_t look_ms = 1000;

// The jobs of one event loop. Those that hang are replaced by threads of their own, so that others go on.
class JobQueue {
 public:
  void add(napi_env env, std::unique_ptr<Job> job, const char* name) {
    waiting_.push_back({std::move(job), name});
    start_waiting(env);
  }

  void remove_ended(napi_env env, const Job* job) {
    std::erase_if(running_, [&](const Running& one) { return one.job == job; });
    start_waiting(env);
  }

 private:
  struct Running {
    Job* job;
    const char* name;
    uint64_t began;
    bool on_pool;
    // Of its thread, at the last look, and at how many in a row it was the same.
    uint64_t spent = 0;
    unsigned still = 0;
  };
  struct Waiting {
    std::unique_ptr<Job> job;
    const char* name;
  };
  struct Timer {
    uv_timer_t handle;
    JobQueue* queue;
    napi_env env;
    void (JobQueue::*expire)(napi_env);
  };

  size_t working() const {
    const uint64_t now = uv_hrtime();
    const auto is_working = [&](const Running& one) { return now - one.began < stuck_ns; };
    return static_cast<size_t>(std::count_if(running_.begin(), running_.end(), is_working));
  }

  void start_waiting(napi_env env) {
    while (!waiting_.empty() && (working() < max_working || running_.size() >= max_stuck)) {
      Waiting next = std::move(waiting_.front());
      waiting_.pop_front();
      start(env, std::move(next));
    }
    if (waiting_.empty()) stop(wait_);
    else start(env, wait_, timer_ms, &JobQueue::start_waiting);
  }

  void start(napi_env env, Waiting next) {
    const auto is_on_pool = [](const Running& one) { return one.on_pool; };
    const auto on_pool = static_cast<size_t>(std::count_if(running_.begin(), running_.end(), is_on_pool));
    Job* job = next.job.get();
    const bool to_pool = on_pool < max_working;
    const bool started = to_pool ? run_on_pool(env, next.job, next.name)
                                 : running_.size() < max_stuck && run_on_thread(env, next.job, next.name) == 0;
    if (started) running_.push_back({job, next.name, uv_hrtime(), to_pool});
    if (started) return start(env, look_, look_ms, &JobQueue::leave_still);
    next.job->fail(next.name, EAGAIN);
    settle(env, next.job);
  }

  // Gives up those that hang. They stay in the list until their system calls return.
  void leave_still(napi_env env) {
    if (running_.empty()) return stop(look_);
    for (Running& one : running_) {
      const pid_t thread = one.job->thread;
      if (!one.job->may_be_left || one.job->left || thread == 0) continue;
      const uint64_t spent = spent_time(thread);
      one.still = spent != 0 && spent == one.spent ? one.still + 1 : 0;
      one.spent = spent;
      if (one.still == max_still) leave(env, one);
    }
  }

  static void leave(napi_env env, const Running& one) {
    napi_async_context context = nullptr;
    napi_callback_scope scope = nullptr;
    napi_value resource = nullptr;
    napi_create_object(env, &resource);
    if (napi_async_init(env, resource, from_string(env, one.name), &context) != napi_ok) return;
    if (napi_open_callback_scope(env, resource, context, &scope) == napi_ok) {
      one.job->left = true;
      reject(env, *one.job, one.name, ETIMEDOUT);
      napi_close_callback_scope(env, scope);
    }
    napi_async_destroy(env, context);
  }

  // There is a timer as long as something waits, and one as long as something runs, which keeps no process.
  void start(napi_env env, Timer*& timer, uint64_t period, void (JobQueue::*expire)(napi_env)) {
    uv_loop_t* loop = timer == nullptr ? loop_of(env) : nullptr;
    if (loop == nullptr) return;
    timer = new Timer{{}, this, env, expire};
    uv_timer_init(loop, &timer->handle);
    timer->handle.data = timer;
    if (period == look_ms) uv_unref(reinterpret_cast<uv_handle_t*>(&timer->handle));
    const auto on_expired = [](uv_timer_t* handle) {
      const auto* timer = static_cast<Timer*>(handle->data);
      napi_handle_scope scope = nullptr;
      napi_open_handle_scope(timer->env, &scope);
      const napi_env in = timer->env;
      (timer->queue->*timer->expire)(in);
      napi_close_handle_scope(in, scope);
    };
    uv_timer_start(&timer->handle, on_expired, period, period);
  }

  static void stop(Timer*& timer) {
    if (timer == nullptr) return;
    const auto close = [](uv_handle_t* handle) { delete static_cast<Timer*>(handle->data); };
    uv_close(reinterpret_cast<uv_handle_t*>(&timer->handle), close);
    timer = nullptr;
  }

  std::vector<Running> running_;
  std::deque<Waiting> waiting_;
  Timer* wait_ = nullptr;
  Timer* look_ = nullptr;
};

// Each environment has a thread of its own.
thread_local JobQueue jobs;

void on_ended(napi_env env, const Job* job) { jobs.remove_ended(env, job); }

}  // namespace

napi_value start_job(napi_env env, std::unique_ptr<Job> job, const char* name) {
  napi_value promise = nullptr;
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok) return nullptr;
  jobs.add(env, std::move(job), name);
  return promise;
}

napi_value start_question(napi_env env, std::unique_ptr<Job> job, const char* name) {
  job->may_be_left = true;
  return start_job(env, std::move(job), name);
}

napi_value start_thread_job(napi_env env, std::unique_ptr<Job> job, const char* name) {
  napi_value promise = nullptr;
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok) return nullptr;
  if (run_on_thread(env, job, name) != 0) jobs.add(env, std::move(job), name);
  return promise;
}

void put_integer(std::string& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) out.push_back(static_cast<char>(value >> (8 * i)));
}

void put_text(std::string& out, std::string_view text) {
  put_integer(out, text.size(), 4);
  out.append(text);
}

}  // namespace envd
