// Symbolic links: to make one for an actor, and to read what one says.
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "job.h"
#include "made.h"
#include "registration.h"
#include "values.h"
#include "walk.h"

namespace envd {

namespace {

struct MakeLink : ActorJob {
  std::string path;
  std::string target;

  void act() override {
    Place place;
    if (!find_place(*this, path, Last::keep, "symlink", place)) return;
    if (place.exists()) return fail("symlink", EEXIST);
    const NewOwner owner{!actor.own_rights, actor.uid, actor.gid};
    const Refused refused = make_link(target, place.parent.get(), place.name, owner, nullptr);
    if (refused.error != 0) fail(refused.call, refused.error);
  }
};

struct ReadLink : ActorJob {
  std::string path;

  void act() override {
    Place place;
    if (!find_place(*this, path, Last::keep, "readlink", place)) return;
    if (!place.exists()) return fail("readlink", ENOENT);
    if (!S_ISLNK(place.status.st_mode)) return fail("readlink", EINVAL);
    // Those stand for what a process has open.
    if (is_kernel_filesystem(place.entry.get())) return fail(follow_refusal, EACCES);
    char target[PATH_MAX];
    const ssize_t length = readlinkat(place.entry.get(), "", target, sizeof target);
    if (length < 0) return fail("readlink", errno);
    result.assign(target, static_cast<size_t>(length));
  }
};

napi_value make_link_job(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<MakeLink>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_path(env, arguments.at[1], job->target) || !to_actor(env, arguments.at[2], job->actor)) return nullptr;
  return start_job(env, std::move(job), "makeLink");
}

napi_value read_link(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<ReadLink>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor)) return nullptr;
  return start_question(env, std::move(job), "readLink");
}

}  // namespace

void register_link(napi_env env, napi_value exports) {
  export_function(env, exports, "makeLink", make_link_job);
  export_function(env, exports, "readLink", read_link);
}

}  // namespace envd
