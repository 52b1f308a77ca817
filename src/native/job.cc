#include "job.h"

#include <errno.h>
#include <uv.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "thread.h"
#include "values.h"

namespace envd {

namespace {

// Settles the promise of a job.
void settle(napi_env env, const std::unique_ptr<Job>& job) {
  job->release(env);
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

void* run_thread(void* data) {
  auto* job = static_cast<Job*>(data);
  job->run();
  report(job);
  return nullptr;
}

// False: the job is still the caller's.
bool run_on_pool(napi_env env, std::unique_ptr<Job>& job, const char* name) {
  const auto execute = [](napi_env, void* data) { static_cast<Job*>(data)->run(); };
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

// Jobs that work at a time. The pool has 16 threads (`scripts/launch-options`), the others are for what Node does.
constexpr size_t max_working = 6;
// After so long a job may be one that hangs, as on a mount whose server is gone, and no longer counts as working.
constexpr uint64_t stuck_ns = 20'000'000;
constexpr uint64_t timer_ms = 10;
// Jobs in sum that do not end, each on a thread of some 20 KiB. Beyond that everything is refused.
constexpr size_t max_stuck = 512;

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
    const Job* job;
    uint64_t began;
    bool on_pool;
  };
  struct Waiting {
    std::unique_ptr<Job> job;
    const char* name;
  };
  struct Timer {
    uv_timer_t handle;
    JobQueue* queue;
    napi_env env;
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
    if (waiting_.empty()) stop_timer();
    else start_timer(env);
  }

  void start(napi_env env, Waiting next) {
    const auto is_on_pool = [](const Running& one) { return one.on_pool; };
    const auto on_pool = static_cast<size_t>(std::count_if(running_.begin(), running_.end(), is_on_pool));
    const Job* job = next.job.get();
    const bool to_pool = on_pool < max_working;
    const bool started = to_pool ? run_on_pool(env, next.job, next.name)
                                 : running_.size() < max_stuck && run_on_thread(env, next.job, next.name) == 0;
    if (started) return running_.push_back({job, uv_hrtime(), to_pool});
    next.job->fail(next.name, EAGAIN);
    settle(env, next.job);
  }

  // There is a timer as long as something waits.
  void start_timer(napi_env env) {
    uv_loop_t* loop = nullptr;
    if (timer_ != nullptr || napi_get_uv_event_loop(env, &loop) != napi_ok) return;
    timer_ = new Timer{{}, this, env};
    uv_timer_init(loop, &timer_->handle);
    timer_->handle.data = timer_;
    const auto expire = [](uv_timer_t* handle) {
      const auto* timer = static_cast<Timer*>(handle->data);
      napi_handle_scope scope = nullptr;
      napi_open_handle_scope(timer->env, &scope);
      const napi_env in = timer->env;
      timer->queue->start_waiting(in);
      napi_close_handle_scope(in, scope);
    };
    uv_timer_start(&timer_->handle, expire, timer_ms, timer_ms);
  }

  void stop_timer() {
    if (timer_ == nullptr) return;
    const auto close = [](uv_handle_t* handle) { delete static_cast<Timer*>(handle->data); };
    uv_close(reinterpret_cast<uv_handle_t*>(&timer_->handle), close);
    timer_ = nullptr;
  }

  std::vector<Running> running_;
  std::deque<Waiting> waiting_;
  Timer* timer_ = nullptr;
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
