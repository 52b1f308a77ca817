#include "tree-task.h"

#include "job.h"
#include "registration.h"
#include "spent-time.h"
#include "values.h"

namespace envd {

namespace {

// What waits to be taken; JavaScript looks several times a second.
constexpr size_t max_output_bytes = 256 << 10;
// Bytes of paths that were left out: enough to see the cause.
constexpr size_t max_left_out_bytes = 4096;
constexpr napi_type_tag tree_task_tag = {0x7a1c8e0d52f94b36, 0x9be3d04417c6a258};

napi_value create_tree_task(napi_env env, napi_callback_info) {
  auto* holder = new std::shared_ptr<TreeTask>(std::make_shared<TreeTask>());
  const auto release = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<TreeTask>*>(data); };
  napi_value result = nullptr;
  if (napi_create_external(env, holder, release, nullptr, &result) != napi_ok) {
    delete holder;
    return throw_errno(env, "createTreeTask", ENOMEM);
  }
  napi_type_tag_object(env, result, &tree_task_tag);
  return result;
}

napi_value tree_task_state(napi_env env, napi_callback_info info) {
  Arguments arguments;
  std::shared_ptr<TreeTask> task;
  if (!get_arguments(env, info, arguments) || !to_tree_task(env, arguments.at[0], task)) return nullptr;
  const std::string state = task->take_state();
  napi_value result = nullptr;
  napi_create_buffer_copy(env, state.size(), state.data(), nullptr, &result);
  return result;
}

napi_value cancel_tree_task(napi_env env, napi_callback_info info) {
  Arguments arguments;
  std::shared_ptr<TreeTask> task;
  if (get_arguments(env, info, arguments) && to_tree_task(env, arguments.at[0], task)) task->cancel();
  return nullptr;
}

}  // namespace

bool TreeTask::put(std::string_view item) {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [this] { return cancelled || output_.size() < max_output_bytes; });
  output_.append(item);
  return !cancelled;
}

void TreeTask::leave_out(std::string_view path) {
  left_out++;
  const std::lock_guard lock(mutex_);
  if (left_out_paths_.size() + path.size() < max_left_out_bytes) put_text(left_out_paths_, path);
}

void TreeTask::blame(std::string_view path) {
  const std::lock_guard lock(mutex_);
  if (blamed_.empty()) blamed_ = path;
}

void TreeTask::look_at(std::string_view directory, std::string_view name) {
  const std::lock_guard lock(mutex_);
  looked_at_ = directory;
  if (!directory.empty() && !name.empty()) looked_at_ += '/';
  looked_at_ += name;
}

void TreeTask::leave_behind(std::string_view path) {
  const std::lock_guard lock(mutex_);
  left_behind_ = path;
}

void TreeTask::cancel() {
  const std::lock_guard lock(mutex_);
  cancelled = true;
  room_.notify_all();
}

std::string TreeTask::take_state() {
  const std::lock_guard lock(mutex_);
  std::string state;
  for (const auto* number : {&files, &directories, &links, &bytes, &shared, &left_out}) put_integer(state, *number, 8);
  put_integer(state, thread == 0 ? 0 : spent_time(thread), 8);
  for (const auto* text : {&output_, &left_out_paths_, &blamed_, &left_behind_, &looked_at_}) put_text(state, *text);
  output_.clear();
  room_.notify_all();
  return state;
}

bool to_tree_task(napi_env env, napi_value value, std::shared_ptr<TreeTask>& task) {
  bool tagged = false;
  void* holder = nullptr;
  if (napi_check_object_type_tag(env, value, &tree_task_tag, &tagged) != napi_ok || !tagged ||
      napi_get_value_external(env, value, &holder) != napi_ok) {
    napi_throw_type_error(env, nullptr, "task must be one that createTreeTask has made");
    return false;
  }
  task = *static_cast<std::shared_ptr<TreeTask>*>(holder);
  return true;
}

void register_tree_task(napi_env env, napi_value exports) {
  export_function(env, exports, "createTreeTask", create_tree_task);
  export_function(env, exports, "treeTaskState", tree_task_state);
  export_function(env, exports, "cancelTreeTask", cancel_tree_task);
}

}  // namespace envd
