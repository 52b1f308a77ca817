#include "name-file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job.h"
#include "proc-link.h"
#include "registration.h"
#include "values.h"

namespace envd {

namespace {

struct NameFile : ActorJob {
  int file = -1;
  int parent = -1;
  std::string name;

  void act() override {
    Descriptor named = name_file(file, parent, name, actor);
    if (!named.valid()) return fail("open", errno);
    put_integer(result, static_cast<uint32_t>(named.release()), 4);
  }
};

napi_value name_file_job(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<NameFile>();
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->file)) return nullptr;
  if (!to_descriptor(env, arguments.at[1], job->parent) || !to_path(env, arguments.at[2], job->name)) return nullptr;
  if (!to_actor(env, arguments.at[3], job->actor)) return nullptr;
  return start_job(env, std::move(job), "nameFile");
}

}  // namespace

Descriptor open_unnamed(int directory, mode_t mode) {
  return Descriptor(openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
}

bool has_no_unnamed(int number) {
  return number == EOPNOTSUPP || number == EISDIR || number == ENOENT || number == EINVAL;
}

Descriptor name_file(int file, int directory, const std::string& name, const Actor& actor) {
  errno = link_open_file(file, directory, name);
  if (errno != 0) return Descriptor();
  constexpr int flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW;
  Descriptor named(openat(directory, name.c_str(), flags));
  struct stat there {}, here {};
  const bool same = named.valid() && fstat(named.get(), &there) == 0 && fstat(file, &here) == 0 &&
                    there.st_dev == here.st_dev && there.st_ino == here.st_ino;
  // Another process was faster to rename or remove it: there is nothing to report.
  if (!same) return Descriptor(fcntl(file, F_DUPFD_CLOEXEC, 0));
  // Both change nothing. Watchers have them as events, and what cannot be reported is no failure.
  const bool reported = actor.own_rights || fchown(named.get(), here.st_uid, here.st_gid) == 0;
  if (!reported || ftruncate(named.get(), here.st_size) < 0) errno = 0;
  return named;
}

void register_name_file(napi_env env, napi_value exports) {
  export_function(env, exports, "nameFile", name_file_job);
}

}  // namespace envd
