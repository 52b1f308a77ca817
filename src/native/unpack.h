// What all jobs share that make entries of an archive below an open directory.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include "actor.h"
#include "archived.h"
#include "below.h"
#include "job.h"
#include "values.h"

namespace envd {

// Of a new file: nothing that stands there is opened.
inline constexpr int make_flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC;
inline constexpr mode_t private_mode = 0600;

struct Unpack : ActorJob {
  int root = -1;
  bool archive_owners = false;

  Making making() const { return {!actor.own_rights, archive_owners}; }
  NewOwner owner() const { return {!actor.own_rights, actor.uid, actor.gid}; }
};

// Takes the first two arguments: the actor, and whether owners are those of the archive. False: an exception is
// pending.
inline bool to_unpack(napi_env env, const Arguments& arguments, Unpack& job) {
  return to_actor(env, arguments.at[0], job.actor) &&
         to_boolean(env, arguments.at[1], "archiveOwners", job.archive_owners);
}

}  // namespace envd
