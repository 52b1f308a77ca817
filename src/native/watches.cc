// inotify(7): the instance, and the removal of watches. Events are read by `read` and taken apart in JavaScript.
#include <errno.h>
#include <sys/inotify.h>

#include "registration.h"
#include "values.h"

namespace envd {

namespace {

napi_value open_inotify(napi_env env, napi_callback_info) {
  const int descriptor = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  return descriptor < 0 ? throw_errno(env, "inotify_init1", errno) : from_integer(env, descriptor);
}

napi_value remove_watch(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int instance = -1;
  int64_t watch = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], instance)) return nullptr;
  if (!to_integer(env, arguments.at[1], "watch", 0, INT32_MAX, watch)) return nullptr;
  return from_integer(env, inotify_rm_watch(instance, static_cast<int>(watch)) < 0 ? -errno : 0);
}

}  // namespace

void register_watches(napi_env env, napi_value exports) {
  export_function(env, exports, "openInotify", open_inotify);
  export_function(env, exports, "removeWatch", remove_watch);
}

}  // namespace envd
