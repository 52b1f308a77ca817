// What a spawn was asked to do, taken over from JavaScript so that it can be used on another thread.
#pragma once

#include <node_api.h>

#include <string>
#include <vector>

#include "child.h"

namespace envd {

// Owns the memory that `plan` points into; must not be moved once it is read.
struct SpawnSpec {
  ChildPlan plan;
  // The caller's descriptor; -1: none.
  int cgroup = -1;
  // The same, of the deposit's socket.
  int keeper = -1;
  std::string file;
  std::string cwd;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::vector<gid_t> groups;
  std::string oom_score_adj;
  std::vector<char> candidate;
  std::vector<char*> argv;
  std::vector<const char*> shell_argv;
  std::vector<char*> envp;
};

// Fills `spec` from the object that spawn-spec.ts describes as SpawnSpec. False if a value has the wrong type (a
// TypeError is then pending). `error` is an errno if the values are of the right types but can never be started.
bool read_spawn_spec(napi_env env, napi_value object, SpawnSpec& spec, int& error);

}  // namespace envd
