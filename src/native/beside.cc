// Writes a file beside another one and puts it in its place in one step: without a name until then where the filesystem
// can do that (O_TMPFILE), so that nothing is left behind however the daemon ends.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "few-descriptors.h"
#include "job.h"
#include "name-file.h"
#include "proc-link.h"
#include "registration.h"
#include "temporary-name.h"
#include "values.h"
#include "version.h"
#include "walk.h"

namespace envd {

namespace {

constexpr mode_t new_file_mode = 0666;
constexpr mode_t private_mode = 0600;
constexpr int max_tries = 16;

struct OpenBeside : ActorJob {
  std::string path;
  bool keep_link = false;

  void act() override {
    Place place;
    if (!find_place(*this, path, keep_link ? Last::keep : Last::follow, "stat", place)) return;
    if (few_descriptors()) return fail("open", EMFILE);
    struct stat directory {};
    if (fstatat(place.parent.get(), "", &directory, AT_EMPTY_PATH) < 0) return fail("stat", errno);
    const bool regular = place.exists() && S_ISREG(place.status.st_mode);
    if (place.exists() && (!regular || keep_link)) return report(Descriptor(), place, Descriptor(), directory, "");
    // A user who may not write the file must not replace it either.
    if (regular && actor.own_rights &&
        syscall(SYS_faccessat2, place.parent.get(), place.name.c_str(), W_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) < 0)
      return fail("open", errno);
    const mode_t mode = regular ? private_mode : new_file_mode;
    std::string temporary;
    Descriptor file = open_unnamed(place.parent.get(), mode);
    if (!file.valid() && has_no_unnamed(errno)) {
      temporary = temporary_name();
      if (temporary.empty()) return fail("getrandom", errno);
      file = Descriptor(
          openat(place.parent.get(), temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    }
    if (!file.valid()) return fail("create", errno);
    Descriptor old;
    if (regular)
      old.reset(openat(place.parent.get(), place.name.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
    report(std::move(file), place, std::move(old), directory, temporary);
  }

  void report(Descriptor file, Place& place, Descriptor old, const struct stat& directory,
              const std::string& temporary) {
    const bool opened = file.valid();
    put_integer(result, static_cast<uint32_t>(file.release()), 4);
    put_integer(result, static_cast<uint32_t>(opened ? place.parent.release() : -1), 4);
    put_integer(result, static_cast<uint32_t>(old.release()), 4);
    put_integer(result, place.exists() ? place.status.st_mode : 0, 4);
    put_integer(result, place.status.st_uid, 4);
    put_integer(result, place.status.st_gid, 4);
    put_version(result, place.status);
    put_integer(result, directory.st_dev, 8);
    put_integer(result, directory.st_ino, 8);
    put_text(result, place.name);
    put_text(result, temporary);
  }
};

struct PlaceFile : ActorJob {
  int file = -1;
  int parent = -1;
  std::string name;
  std::string temporary;
  // What must stand there: anything, nothing, or this version.
  bool any = true;
  std::string expected;

  void act() override {
    const bool unnamed = temporary.empty();
    place(unnamed);
    if (error != 0 && !temporary.empty()) unlinkat(parent, temporary.c_str(), 0);
    if (error != 0) return;
    struct stat status {};
    if (fstat(file, &status) < 0) return fail("fstat", errno);
    put_version(result, status);
  }

  void place(bool unnamed) {
    for (int tries = 0; tries < max_tries; tries++) {
      bool there = false;
      if (!look(there)) return;
      if (!there) {
        if (put_where_nothing_is(unnamed)) return;
        if (errno != EEXIST) return fail("place", errno);
        if (!any) return fail("place", expected.empty() ? EEXIST : ESTALE);
        continue;
      }
      if (unnamed && temporary.empty() && !name_it()) return fail("place", errno);
      // As late as can be.
      if (!look(there)) return;
      if (!there) continue;
      if (renameat(parent, temporary.c_str(), parent, name.c_str()) < 0) return fail("place", errno);
      return temporary.clear();
    }
    fail("place", EAGAIN);
  }

  bool look(bool& there) {
    struct stat status {};
    there = fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT) return refuse(errno);
    if (there && S_ISDIR(status.st_mode)) return refuse(EISDIR);
    if (any) return true;
    if (expected.empty()) return !there || refuse(EEXIST);
    std::string version;
    if (there) put_version(version, status);
    return version == expected || refuse(ESTALE);
  }

  bool refuse(int number) {
    fail("place", number);
    return false;
  }

  bool put_where_nothing_is(bool unnamed) {
    if (unnamed && temporary.empty()) return link_to(name);
    if (linkat(parent, temporary.c_str(), parent, name.c_str(), 0) == 0) {
      unlinkat(parent, temporary.c_str(), 0);
    } else if (errno == EEXIST || renameat2(parent, temporary.c_str(), parent, name.c_str(), RENAME_NOREPLACE) < 0) {
      return false;
    }
    temporary.clear();
    return true;
  }

  bool name_it() {
    const std::string fresh = temporary_name();
    if (fresh.empty() || !link_to(fresh)) return false;
    temporary = fresh;
    return true;
  }

  bool link_to(const std::string& new_name) const {
    errno = link_open_file(file, parent, new_name);
    return errno == 0;
  }
};

napi_value open_beside(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<OpenBeside>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor)) return nullptr;
  if (!to_boolean(env, arguments.at[2], "absent", job->keep_link)) return nullptr;
  return start_job(env, std::move(job), "openBeside");
}

napi_value place_file(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<PlaceFile>();
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->file)) return nullptr;
  if (!to_descriptor(env, arguments.at[1], job->parent) || !to_path(env, arguments.at[2], job->name)) return nullptr;
  if (!to_path(env, arguments.at[3], job->temporary) || !to_actor(env, arguments.at[4], job->actor)) return nullptr;
  job->any = is_undefined(env, arguments.at[5]);
  std::string_view expected;
  if (!job->any && !to_view(env, arguments.at[5], "expected", expected)) return nullptr;
  job->expected = expected;
  return start_job(env, std::move(job), "placeFile");
}

}  // namespace

void register_beside(napi_env env, napi_value exports) {
  export_function(env, exports, "openBeside", open_beside);
  export_function(env, exports, "placeFile", place_file);
}

}  // namespace envd
