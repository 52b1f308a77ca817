// Makes a directory beside another one, and lets the two change places in one step.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "change-places.h"
#include "few-descriptors.h"
#include "job.h"
#include "made.h"
#include "registration.h"
#include "same-file.h"
#include "temporary-name.h"
#include "values.h"
#include "walk.h"

namespace envd {

namespace {

constexpr mode_t private_mode = 0700;

struct OpenDirectoryBeside : ActorJob {
  std::string path;

  void act() override {
    Place place;
    if (!find_place(*this, path, Last::follow, "open", place)) return;
    if (few_descriptors()) return fail("open", EMFILE);
    if (place.exists() && !S_ISDIR(place.status.st_mode)) return fail("open", ENOTDIR);
    if (place.name == "." || place.name == "..") return fail("create", EBUSY);
    if (is_kernel_filesystem(place.parent.get())) return fail("create", EROFS);
    const std::string temporary = temporary_name();
    if (temporary.empty()) return fail("getrandom", errno);
    Descriptor made = make_private_directory(place.parent.get(), temporary);
    if (!made.valid()) return fail("create", errno);
    put_integer(result, static_cast<uint32_t>(made.release()), 4);
    put_integer(result, static_cast<uint32_t>(place.parent.release()), 4);
    put_integer(result, place.exists() ? 1 : 0, 4);
    put_integer(result, place.status.st_mode & 07777, 4);
    put_integer(result, place.status.st_uid, 4);
    put_integer(result, place.status.st_gid, 4);
    put_text(result, place.name);
    put_text(result, temporary);
  }
};

// Gives a directory a name at which nothing is. 0, or the errno: EEXIST where something is.
int name_directory(int parent, const std::string& temporary, const std::string& name) {
  if (renameat2(parent, temporary.c_str(), parent, name.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL) return errno;
  // The filesystem has no such flag: an empty directory takes the name, and rename(2) replaces it.
  if (mkdirat(parent, name.c_str(), private_mode) < 0) return errno;
  if (renameat(parent, temporary.c_str(), parent, name.c_str()) == 0) return 0;
  const int refused = errno == ENOTEMPTY ? EEXIST : errno;
  unlinkat(parent, name.c_str(), AT_REMOVEDIR);
  return refused;
}

struct PlaceDirectory : ActorJob {
  int root = -1;
  int parent = -1;
  std::string temporary;
  std::string name;
  bool exchange = false;
  // Of what it changes places with.
  uint32_t owner = 0;

  void act() override {
    struct stat made {}, there {};
    if (fstat(root, &made) < 0 || fstatat(parent, temporary.c_str(), &there, AT_SYMLINK_NOFOLLOW) < 0)
      return fail("place", errno);
    // Another process has put something there.
    if (!is_same(made, there)) return fail("place", ESTALE);
    Descriptor old;
    if (exchange) old = change_places(parent, temporary, name, owner);
    const int refused = exchange ? (old.valid() ? 0 : errno) : name_directory(parent, temporary, name);
    if (refused != 0) return fail("place", refused);
    put_integer(result, static_cast<uint32_t>(old.release()), 4);
  }
};

napi_value open_directory_beside(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<OpenDirectoryBeside>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor)) return nullptr;
  return start_job(env, std::move(job), "openDirectoryBeside");
}

napi_value place_directory(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<PlaceDirectory>();
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->root)) return nullptr;
  if (!to_descriptor(env, arguments.at[1], job->parent)) return nullptr;
  if (!to_path(env, arguments.at[2], job->temporary)) return nullptr;
  if (!to_path(env, arguments.at[3], job->name) || !to_actor(env, arguments.at[4], job->actor)) return nullptr;
  job->exchange = !is_undefined(env, arguments.at[5]);
  if (job->exchange && !to_id(env, arguments.at[5], "owner", job->owner)) return nullptr;
  return start_job(env, std::move(job), "placeDirectory");
}

}  // namespace

void register_replace(napi_env env, napi_value exports) {
  export_function(env, exports, "openDirectoryBeside", open_directory_beside);
  export_function(env, exports, "placeDirectory", place_directory);
}

}  // namespace envd
