#include "job.h"

#include "values.h"

namespace envd {

namespace {

// Settles the promise of a job and frees it.
void complete(napi_env env, napi_status, void* data) {
  std::unique_ptr<Job> job(static_cast<Job*>(data));
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
  napi_delete_async_work(env, job->work);
}

}  // namespace

napi_value start_job(napi_env env, std::unique_ptr<Job> job, const char* name) {
  napi_value promise = nullptr;
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok) return nullptr;
  const auto execute = [](napi_env, void* data) { static_cast<Job*>(data)->run(); };
  napi_create_async_work(env, nullptr, from_string(env, name), execute, complete, job.get(), &job->work);
  if (napi_queue_async_work(env, job->work) != napi_ok) return nullptr;
  job.release();
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
