// Makes directories for files in one piece of work, as every trip to the thread pool costs more than the system calls.
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <string>

#include "job.h"
#include "made.h"
#include "registration.h"
#include "values.h"
#include "walk.h"

namespace envd {

namespace {

constexpr mode_t new_directory_mode = 0755;

struct MakeDirectories : ActorJob {
  std::string path;
  // One that was looked at and is none.
  std::string file;
  bool made = false;

  void act() override {
    made = ensure(path);
    if (error != 0) return;
    put_integer(result, made ? 1 : 0, 4);
    result.append(file);
  }

  // Whether it was made here.
  bool ensure(const std::string& directory) {
    Place place;
    if (!find_place(*this, directory, Last::follow, "stat", place)) {
      const size_t slash = directory.rfind('/');
      const bool further_up = (error == ENOENT || error == ENOTDIR) && slash != std::string::npos && slash > 0;
      if (!further_up) return false;
      // A file further up is found, and named, when its own level is looked at.
      fail("", 0);
      ensure(directory.substr(0, slash));
      if (error != 0 || !file.empty() || !find_place(*this, directory, Last::follow, "stat", place)) return false;
    }
    if (!place.exists()) return create(directory, place);
    if (!S_ISDIR(place.status.st_mode)) file = directory;
    return false;
  }

  bool create(const std::string& directory, const Place& place) {
    Place found;
    if (!find_place(*this, directory, Last::keep, "mkdir", found)) return false;
    // A link that leads nowhere.
    const bool taken = found.exists() && S_ISLNK(found.status.st_mode);
    const NewOwner owner{!actor.own_rights, actor.uid, actor.gid};
    const Refused making =
        taken ? Refused{"mkdir", EEXIST} : make_directory(place.parent.get(), place.name, new_directory_mode, owner);
    const int refused = making.error;
    if (refused == 0 || strcmp(making.call, "mkdir") != 0) {
      if (refused != 0) fail(making.call, refused);
      return true;
    }
    // Others may make the same one meanwhile.
    const bool there =
        refused == EEXIST && find_place(*this, directory, Last::follow, "mkdir", found) && found.exists();
    if (error == 0 && !(there && S_ISDIR(found.status.st_mode))) fail("mkdir", refused);
    return false;
  }
};

napi_value make_directories(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<MakeDirectories>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor)) return nullptr;
  return start_job(env, std::move(job), "makeDirectories");
}

}  // namespace

void register_make_directories(napi_env env, napi_value exports) {
  export_function(env, exports, "makeDirectories", make_directories);
}

}  // namespace envd
