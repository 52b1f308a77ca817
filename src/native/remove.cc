// Deletes and renames by descriptors (openat(2), unlinkat(2), renameat(2)), so that a link that takes a directory's
// place meanwhile is not followed. Node's functions work by paths.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "job.h"
#include "registration.h"
#include "remove-below.h"
#include "values.h"
#include "version.h"
#include "walk.h"

namespace envd {

namespace {

// What rmdir(2) and rename(2) refuse, too.
bool ends_in_dots(const std::string& name) { return name == "." || name == ".." || name == "./" || name == "../"; }

struct RemoveTree : ActorJob {
  std::string path;

  void act() override {
    Place place;
    if (!find_place(*this, path, Last::keep, "unlinkat", place)) {
      if (error == ENOENT) fail("", 0);
      return;
    }
    if (!place.exists()) return;
    if (ends_in_dots(place.name)) return fail("unlinkat", EINVAL);
    const Removal removal = remove_below(place.parent.get(), place.name.c_str(), left);
    if (removal.error != 0) fail(removal.call, removal.error);
  }
};

// What is open, and its name in an open directory.
struct RemoveOpened : ActorJob {
  int opened = -1;
  int directory = -1;
  std::string name;

  void act() override {
    if (name.empty() || name.find('/') != std::string::npos || ends_in_dots(name)) return fail("unlinkat", EINVAL);
    const Removal removal = remove_opened(opened, directory, name.c_str(), left);
    if (removal.error != 0) fail(removal.call, removal.error);
  }
};

// unlink(2) of one file, if it is the same as an open one where one is given.
struct RemoveFile : ActorJob {
  std::string path;
  int descriptor = -1;

  void act() override {
    Place place;
    struct stat status {};
    if (descriptor >= 0 && fstat(descriptor, &status) < 0) return fail("fstat", errno);
    if (!find_place(*this, path, descriptor >= 0 ? Last::follow : Last::keep, "unlink", place)) return;
    if (!place.exists()) return fail("unlink", ENOENT);
    const bool same = place.status.st_dev == status.st_dev && place.status.st_ino == status.st_ino;
    if (descriptor >= 0 && !same) return fail("unlink", ESTALE);
    if (unlinkat(place.parent.get(), place.name.c_str(), 0) < 0) fail("unlink", errno);
  }
};

// rename(2) of anything onto nothing, or onto what is no directory.
struct RenameEntry : ActorJob {
  std::string source;
  std::string destination;
  // What must be at the destination: anything, nothing, or this version.
  bool any = true;
  std::string expected;

  bool is_expected(const Place& to) const {
    std::string version;
    if (to.exists()) put_version(version, to.status);
    return any || version == expected;
  }

  void act() override {
    Place from;
    Place to;
    if (!find_place(*this, source, Last::keep, "rename", from)) return;
    if (!from.exists()) return fail("rename", ENOENT);
    if (!find_place(*this, destination, Last::keep, "rename", to)) return;
    const bool same = to.exists() && from.status.st_dev == to.status.st_dev && from.status.st_ino == to.status.st_ino;
    if (to.exists() && S_ISDIR(to.status.st_mode) && (!same || source == destination)) return fail("rename", EEXIST);
    if (ends_in_dots(from.name) || ends_in_dots(to.name)) return fail("rename", EINVAL);
    if (!is_expected(to)) return fail("rename", ESTALE);
    const unsigned flags = !any && expected.empty() ? RENAME_NOREPLACE : 0;
    if (flags != 0 && renameat2(from.parent.get(), from.name.c_str(), to.parent.get(), to.name.c_str(), flags) == 0)
      return;
    if (flags != 0 && errno == EEXIST) return fail("rename", ESTALE);
    if (flags != 0 && errno != EINVAL) return fail("rename", errno);
    if (renameat(from.parent.get(), from.name.c_str(), to.parent.get(), to.name.c_str()) == 0) return;
    const bool onto_file = errno == EXDEV && S_ISDIR(from.status.st_mode) && to.exists();
    fail("rename", onto_file ? ENOTDIR : errno);
  }
};

// The directory that a path's last name is in, and the name.
struct OpenParent : ActorJob {
  std::string path;

  void act() override {
    Place place;
    if (!find_place(*this, path, Last::keep, "open", place)) return;
    put_integer(result, static_cast<uint32_t>(place.parent.release()), 4);
    result.append(place.name);
  }
};

napi_value remove_tree(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<RemoveTree>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor)) return nullptr;
  return start_question(env, std::move(job), "removeTree");
}

napi_value remove_opened_job(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<RemoveOpened>();
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->opened)) return nullptr;
  if (!to_descriptor(env, arguments.at[1], job->directory) || !to_path(env, arguments.at[2], job->name)) return nullptr;
  if (!to_actor(env, arguments.at[3], job->actor)) return nullptr;
  return start_question(env, std::move(job), "removeOpened");
}

napi_value remove_file(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<RemoveFile>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor)) return nullptr;
  if (!is_undefined(env, arguments.at[2]) && !to_descriptor(env, arguments.at[2], job->descriptor)) return nullptr;
  return start_job(env, std::move(job), "removeFile");
}

napi_value rename_entry(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<RenameEntry>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->source)) return nullptr;
  if (!to_path(env, arguments.at[1], job->destination) || !to_actor(env, arguments.at[2], job->actor)) return nullptr;
  job->any = is_undefined(env, arguments.at[3]);
  std::string_view expected;
  if (!job->any && !to_view(env, arguments.at[3], "expected", expected)) return nullptr;
  job->expected = expected;
  return start_job(env, std::move(job), "renameEntry");
}

napi_value open_parent(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<OpenParent>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor)) return nullptr;
  return start_job(env, std::move(job), "openParent");
}

}  // namespace

void register_remove(napi_env env, napi_value exports) {
  export_function(env, exports, "removeTree", remove_tree);
  export_function(env, exports, "removeOpened", remove_opened_job);
  export_function(env, exports, "removeFile", remove_file);
  export_function(env, exports, "renameEntry", rename_entry);
  export_function(env, exports, "openParent", open_parent);
}

}  // namespace envd
