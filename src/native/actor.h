// For whom a file call is made: this decides which links it may follow, who owns what it makes and, if wanted, whose
// rights it has.
#pragma once

#include <node_api.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "job.h"

namespace envd {

struct Actor {
  // False: a path of the daemon's own, which is used as it is.
  bool checked = false;
  uid_t uid = 0;
  gid_t gid = 0;
  // The call has the user's own rights and these groups, instead of the daemon's.
  bool own_rights = false;
  std::vector<gid_t> groups;
  // The directory that must not be left; empty: none.
  std::string beneath;
};

// Reads the `Actor` of files.ts; undefined: an unchecked one.
bool to_actor(napi_env env, napi_value value, Actor& actor);

// A job that acts as a user.
struct ActorJob : Job {
  Actor actor;

  void run() final;
  // With the actor's rights, on the job's thread.
  virtual void act() = 0;
  // With the daemon's rights, after an `act` that did not fail.
  virtual void conclude() {}
};

}  // namespace envd
