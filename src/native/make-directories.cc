// Makes directories for files in one piece of work, as every trip to the thread pool costs more than the system calls.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "job.h"
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
    if (!taken && mkdirat(place.parent.get(), place.name.c_str(), new_directory_mode) == 0) return give(place);
    const int refused = taken ? EEXIST : errno;
    // Others may make the same one meanwhile.
    const bool there =
        refused == EEXIST && find_place(*this, directory, Last::follow, "mkdir", found) && found.exists();
    if (error == 0 && !(there && S_ISDIR(found.status.st_mode))) fail("mkdir", refused);
    return false;
  }

  // One that was swapped for a link or for another user's directory meanwhile is left alone.
  bool give(const Place& place) {
    if (actor.own_rights) return true;
    const Descriptor opened(
        openat(place.parent.get(), place.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!opened.valid() || fstat(opened.get(), &status) < 0) {
      fail("open", errno);
      return true;
    }
    const bool ours = status.st_uid == geteuid();
    if (!ours || fchown(opened.get(), actor.uid, actor.gid) == 0) return true;
    const int refused = errno;
    if (actor.uid == geteuid() || is_kernel_filesystem(opened.get())) return true;
    fail("fchown", refused);
    // The directory must not stay the daemon user's. If others have put something into it, it stays.
    unlinkat(place.parent.get(), place.name.c_str(), AT_REMOVEDIR);
    return true;
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
