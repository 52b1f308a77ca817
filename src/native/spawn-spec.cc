#include "spawn-spec.h"

#include <errno.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "values.h"

namespace envd {

namespace {

// What execvp(3) searches when the environment has no PATH.
constexpr const char* default_search_path = "/bin:/usr/bin";

bool get(napi_env env, napi_value object, const char* name, napi_value& result) {
  return napi_get_named_property(env, object, name, &result) == napi_ok;
}

bool read_stdio(napi_env env, napi_value object, ChildPlan& plan) {
  napi_value stdio = nullptr;
  uint32_t length = 0;
  if (!get(env, object, "stdio", stdio) || !array_length(env, stdio, "stdio", length)) return false;
  for (uint32_t index = 0; index < 3; index++) {
    napi_value element = nullptr;
    if (napi_get_element(env, stdio, index, &element) != napi_ok) return false;
    if (!to_descriptor(env, element, plan.stdio[index])) return false;
  }
  return true;
}

bool read_user(napi_env env, napi_value object, SpawnSpec& spec) {
  napi_value user = nullptr;
  if (!get(env, object, "user", user)) return false;
  if (is_undefined(env, user)) return true;
  ChildPlan& plan = spec.plan;
  napi_value uid = nullptr;
  napi_value gid = nullptr;
  napi_value groups = nullptr;
  uint32_t length = 0;
  if (!get(env, user, "uid", uid) || !to_id(env, uid, "uid", plan.uid)) return false;
  if (!get(env, user, "gid", gid) || !to_id(env, gid, "gid", plan.gid)) return false;
  if (!get(env, user, "groups", groups) || !array_length(env, groups, "groups", length)) return false;
  for (uint32_t index = 0; index < length; index++) {
    napi_value element = nullptr;
    if (napi_get_element(env, groups, index, &element) != napi_ok) return false;
    if (!to_id(env, element, "group", spec.groups.emplace_back())) return false;
  }
  plan.has_user = true;
  return true;
}

// Reads an optional property; `present`: whether it is there.
bool read_integer(napi_env env, napi_value object, const char* name, bool& present, int& result) {
  napi_value value = nullptr;
  if (!get(env, object, name, value)) return false;
  if (is_undefined(env, value)) return true;
  int64_t number = 0;
  if (!to_integer(env, value, name, INT32_MIN, INT32_MAX, number)) return false;
  result = static_cast<int>(number);
  present = true;
  return true;
}

bool read_no_file(napi_env env, napi_value object, ChildPlan& plan) {
  napi_value value = nullptr;
  if (!get(env, object, "noFile", value)) return false;
  if (is_undefined(env, value)) return true;
  plan.has_no_file = true;
  double number = 0;
  if (napi_get_value_double(env, value, &number) == napi_ok && number == INFINITY) {
    plan.no_file = RLIM_INFINITY;
    return true;
  }
  int64_t limit = 0;
  if (!to_integer(env, value, "noFile", 0, INT32_MAX, limit)) return false;
  plan.no_file = static_cast<rlim_t>(limit);
  return true;
}

bool read_memory(napi_env env, napi_value object, ChildPlan& plan) {
  napi_value value = nullptr;
  if (!get(env, object, "memory", value)) return false;
  if (is_undefined(env, value)) return true;
  int64_t limit = 0;
  if (!to_integer(env, value, "memory", 1, INT64_MAX, limit)) return false;
  plan.has_memory = true;
  plan.memory = static_cast<rlim_t>(limit);
  return true;
}

bool read_priorities(napi_env env, napi_value object, SpawnSpec& spec) {
  ChildPlan& plan = spec.plan;
  bool has_oom = false;
  int oom = 0;
  if (!read_integer(env, object, "oomScoreAdj", has_oom, oom)) return false;
  if (!read_integer(env, object, "nice", plan.has_nice, plan.nice)) return false;
  if (!read_integer(env, object, "ioPriority", plan.has_io_priority, plan.io_priority)) return false;
  if (has_oom) spec.oom_score_adj = std::to_string(oom);
  return true;
}

bool read_cgroup(napi_env env, napi_value object, SpawnSpec& spec) {
  napi_value value = nullptr;
  if (!get(env, object, "cgroup", value)) return false;
  return is_undefined(env, value) || to_descriptor(env, value, spec.cgroup);
}

bool read_descriptors(napi_env env, napi_value list, ChildDeposit& deposit) {
  uint32_t length = 0;
  if (!array_length(env, list, "deposit.descriptors", length)) return false;
  if (length > keeper_descriptors) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "deposit.descriptors has too many");
    return false;
  }
  deposit.count = length;
  for (uint32_t index = 0; index < length; index++) {
    napi_value element = nullptr;
    int64_t number = 0;
    // The place of the pidfd has no descriptor yet.
    if (napi_get_element(env, list, index, &element) != napi_ok ||
        !to_integer(env, element, "deposit.descriptors", -1, INT32_MAX, number))
      return false;
    if (number < 0) deposit.pidfd_at = index;
    deposit.descriptors[index] = static_cast<int>(number);
  }
  return true;
}

bool read_deposit(napi_env env, napi_value object, SpawnSpec& spec) {
  napi_value value = nullptr;
  napi_value part = nullptr;
  if (!get(env, object, "deposit", value)) return false;
  if (is_undefined(env, value)) return true;
  ChildDeposit& deposit = spec.plan.deposit;
  std::string_view message;
  if (!get(env, value, "socket", part) || !to_descriptor(env, part, spec.keeper)) return false;
  if (!get(env, value, "message", part) || !to_view(env, part, "deposit.message", message)) return false;
  std::memcpy(deposit.message, message.data(), std::min(message.size(), keeper_message_bytes));
  return get(env, value, "descriptors", part) && read_descriptors(env, part, deposit);
}

bool read_values(napi_env env, napi_value object, SpawnSpec& spec) {
  napi_value value = nullptr;
  if (!get(env, object, "file", value) || !to_string(env, value, "file", spec.file)) return false;
  if (!get(env, object, "args", value) || !to_strings(env, value, "args", spec.args)) return false;
  if (!get(env, object, "env", value) || !to_strings(env, value, "env", spec.env)) return false;
  if (!get(env, object, "cwd", value) || !to_string(env, value, "cwd", spec.cwd)) return false;
  if (!get(env, object, "terminal", value) || !to_boolean(env, value, "terminal", spec.plan.terminal)) return false;
  return read_stdio(env, object, spec.plan) && read_user(env, object, spec) && read_no_file(env, object, spec.plan) &&
         read_memory(env, object, spec.plan) && read_priorities(env, object, spec) && read_cgroup(env, object, spec) &&
         read_deposit(env, object, spec);
}

bool has_nul(const std::string& text) { return text.find('\0') != std::string::npos; }

const char* search_path(const SpawnSpec& spec) {
  for (const std::string& variable : spec.env) {
    if (variable.starts_with("PATH=")) return variable.c_str() + std::strlen("PATH=");
  }
  return default_search_path;
}

// Points the plan at the values, which stay where they are from now on.
void lay_out(SpawnSpec& spec) {
  ChildPlan& plan = spec.plan;
  spec.argv.push_back(spec.file.data());
  spec.shell_argv = {"/bin/sh", nullptr};
  for (std::string& argument : spec.args) {
    spec.argv.push_back(argument.data());
    spec.shell_argv.push_back(argument.data());
  }
  for (std::string& variable : spec.env) spec.envp.push_back(variable.data());
  spec.argv.push_back(nullptr);
  spec.shell_argv.push_back(nullptr);
  spec.envp.push_back(nullptr);

  plan.file = spec.file.c_str();
  // An empty name is no file of any directory: execve("") says ENOENT.
  if (!spec.file.empty() && spec.file.find('/') == std::string::npos) {
    plan.search_path = search_path(spec);
    spec.candidate.resize(std::strlen(plan.search_path) + 1 + spec.file.size() + 1);
    plan.candidate = spec.candidate.data();
  }
  plan.argv = spec.argv.data();
  plan.shell_argv = spec.shell_argv.data();
  plan.envp = spec.envp.data();
  plan.cwd = spec.cwd.c_str();
  plan.groups = spec.groups.data();
  plan.group_count = spec.groups.size();
  if (!spec.oom_score_adj.empty()) {
    plan.oom_score_adj = spec.oom_score_adj.c_str();
    plan.oom_score_adj_length = spec.oom_score_adj.size();
  }
}

}  // namespace

bool read_spawn_spec(napi_env env, napi_value object, SpawnSpec& spec, int& error) {
  if (!read_values(env, object, spec)) {
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (!pending)
      napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "spec must be an object as SpawnSpec describes it");
    return false;
  }
  lay_out(spec);
  const bool nul = has_nul(spec.file) || has_nul(spec.cwd) || std::ranges::any_of(spec.args, has_nul) ||
                   std::ranges::any_of(spec.env, has_nul);
  error = nul ? EINVAL : 0;
  return true;
}

}  // namespace envd
