// Readiness of descriptors on Node's own event loop: uv_poll_t of libuv.
#include <uv.h>

#include "registration.h"
#include "values.h"

namespace envd {

namespace {

// One JavaScript object. It lives until it was closed, and its memory until libuv has let go of the handle.
struct Watch {
  uv_poll_t handle{};
  napi_env env = nullptr;
  napi_ref self = nullptr;
  napi_ref ready = nullptr;
  napi_async_cleanup_hook_handle cleanup = nullptr;
  bool writable = false;
  bool started = false;
  bool closed = false;
};

napi_value throw_uv(napi_env env, const char* call, int status) { return throw_errno(env, call, -status); }

void on_ready(uv_poll_t* handle, int status, int events);

int arm(Watch& watch) {
  const int events = watch.writable ? UV_WRITABLE : UV_READABLE | UV_DISCONNECT;
  return uv_poll_start(&watch.handle, events, on_ready);
}

void call_ready(Watch& watch) {
  napi_env env = watch.env;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value self = nullptr;
  napi_value ready = nullptr;
  napi_get_reference_value(env, watch.self, &self);
  napi_get_reference_value(env, watch.ready, &ready);
  // Unlike napi_call_function this runs microtasks and process.nextTick afterwards.
  if (napi_make_callback(env, nullptr, self, ready, 0, nullptr, nullptr) != napi_ok) raise_pending_exception(env);
  napi_close_handle_scope(env, scope);
}

void on_ready(uv_poll_t* handle, int status, int) {
  auto& watch = *static_cast<Watch*>(handle->data);
  call_ready(watch);
  // libuv stops the handle when the descriptor has an error (EPOLLERR: the reader of a pipe is gone). The callback
  // notices it by read or write; if it does not stop, it is called again like for any other readiness.
  if (status < 0 && watch.started && !watch.closed) arm(watch);
}

void on_closed(uv_handle_t* handle) {
  auto* watch = static_cast<Watch*>(handle->data);
  napi_remove_async_cleanup_hook(watch->cleanup);
  delete watch;
}

void close_watch(Watch* watch) {
  watch->closed = true;
  // Detaches the object first, so that nothing uses this memory again.
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(watch->env, &scope) == napi_ok) {
    napi_value self = nullptr;
    napi_get_reference_value(watch->env, watch->self, &self);
    napi_remove_wrap(watch->env, self, nullptr);
    napi_close_handle_scope(watch->env, scope);
  }
  napi_delete_reference(watch->env, watch->self);
  napi_delete_reference(watch->env, watch->ready);
  uv_close(reinterpret_cast<uv_handle_t*>(&watch->handle), on_closed);
}

// The environment (a worker, or the whole process) ends with the poll still open.
void on_cleanup(napi_async_cleanup_hook_handle, void* data) {
  auto* watch = static_cast<Watch*>(data);
  if (!watch->closed) close_watch(watch);
}

// Null after close.
Watch* watch_of(napi_env env, napi_callback_info info) {
  Arguments arguments;
  void* watch = nullptr;
  if (!get_arguments(env, info, arguments)) return nullptr;
  return napi_unwrap(env, arguments.self, &watch) == napi_ok ? static_cast<Watch*>(watch) : nullptr;
}

napi_value start(napi_env env, napi_callback_info info) {
  Watch* watch = watch_of(env, info);
  if (watch == nullptr || watch->started) return nullptr;
  if (const int status = arm(*watch); status < 0) return throw_uv(env, "poll", status);
  watch->started = true;
  return nullptr;
}

napi_value stop(napi_env env, napi_callback_info info) {
  Watch* watch = watch_of(env, info);
  if (watch == nullptr || !watch->started) return nullptr;
  watch->started = false;
  uv_poll_stop(&watch->handle);
  return nullptr;
}

napi_value close_poll(napi_env env, napi_callback_info info) {
  Watch* watch = watch_of(env, info);
  if (watch != nullptr) close_watch(watch);
  return nullptr;
}

napi_value construct(napi_env env, napi_callback_info info) {
  Arguments arguments;
  return get_arguments(env, info, arguments) ? arguments.self : nullptr;
}

int open_watch(Watch& watch, int descriptor) {
  uv_loop_s* loop = nullptr;
  if (napi_get_uv_event_loop(watch.env, &loop) != napi_ok) return UV_EINVAL;
  return uv_poll_init(loop, &watch.handle, descriptor);
}

napi_value poll(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  bool writable = false;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (!to_boolean(env, arguments.at[1], "writable", writable) || !to_function(env, arguments.at[2], "ready"))
    return nullptr;
  napi_value constructor = nullptr;
  napi_value self = nullptr;
  napi_get_reference_value(env, static_cast<napi_ref>(arguments.data), &constructor);
  if (napi_new_instance(env, constructor, 0, nullptr, &self) != napi_ok) return nullptr;

  auto* watch = new Watch;
  watch->env = env;
  watch->writable = writable;
  watch->handle.data = watch;
  if (const int status = open_watch(*watch, descriptor); status < 0) {
    delete watch;
    return throw_uv(env, "poll", status);
  }
  napi_wrap(env, self, watch, nullptr, nullptr, nullptr);
  napi_create_reference(env, self, 1, &watch->self);
  napi_create_reference(env, arguments.at[2], 1, &watch->ready);
  napi_add_async_cleanup_hook(env, on_cleanup, watch, &watch->cleanup);
  return self;
}

}  // namespace

void register_poll(napi_env env, napi_value exports) {
  const auto method = [](const char* name, napi_callback function) {
    return napi_property_descriptor{name, nullptr, function, nullptr, nullptr, nullptr, napi_default_method, nullptr};
  };
  const napi_property_descriptor methods[] = {method("start", start), method("stop", stop),
                                              method("close", close_poll)};
  napi_value constructor = nullptr;
  napi_ref reference = nullptr;
  napi_define_class(env, "Poll", NAPI_AUTO_LENGTH, construct, nullptr, 3, methods, &constructor);
  napi_create_reference(env, constructor, 1, &reference);
  export_function(env, exports, "poll", poll, reference);
}

}  // namespace envd
