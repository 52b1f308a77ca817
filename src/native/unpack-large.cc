// Makes a file of an archive that is too large for one piece of work: it is opened, written by the caller, and put in
// its place.
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <string_view>

#include "few-descriptors.h"
#include "registration.h"
#include "temporary-name.h"

namespace envd {

namespace {

// Opens a file for a large entry: without a name until it is whole, or with a temporary one where the filesystem cannot
// do that.
struct OpenUnpacked : Unpack {
  std::string path;

  void act() override {
    Names names;
    if (!split_below(path, names)) return fail("open", errno);
    Descriptor parent = ensure_below(root, names.directory, owner());
    if (!parent.valid()) return fail("open", errno);
    if (few_descriptors()) return fail("open", EMFILE);
    struct stat before {};
    const bool there = fstatat(parent.get(), names.last.c_str(), &before, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && S_ISDIR(before.st_mode)) return fail("open", EEXIST);
    std::string temporary;
    Descriptor file(openat(parent.get(), ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, private_mode));
    if (!file.valid() && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT || errno == EINVAL)) {
      temporary = temporary_name();
      if (temporary.empty()) return fail("open", errno);
      file.reset(openat(parent.get(), temporary.c_str(), make_flags, private_mode));
    }
    if (!file.valid()) return fail("open", errno);
    put_integer(result, static_cast<uint32_t>(file.release()), 4);
    put_integer(result, static_cast<uint32_t>(parent.release()), 4);
    put_text(result, names.last);
    put_text(result, temporary);
  }
};

struct PlaceUnpacked : Unpack {
  int file = -1;
  int parent = -1;
  std::string name;
  std::string temporary;
  std::string packed;

  void act() override {
    std::string_view rest = packed;
    ArchivedEntry entry;
    if (!take_entry(rest, entry)) return fail("place", EINVAL);
    struct stat before {};
    const bool there = fstatat(parent, name.c_str(), &before, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && S_ISDIR(before.st_mode)) return fail("place", EEXIST);
    if (there) keep_owner(entry, before, making());
    int refused = settle(file, entry, making());
    if (refused == 0) refused = put_in_place(file, parent, temporary, name);
    if (refused != 0) fail("place", refused);
  }
};

napi_value open_unpacked(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<OpenUnpacked>();
  if (!get_arguments(env, info, arguments) || !to_unpack(env, arguments, *job)) return nullptr;
  if (!to_descriptor(env, arguments.at[2], job->root) || !to_path(env, arguments.at[3], job->path)) return nullptr;
  return start_job(env, std::move(job), "openUnpacked");
}

napi_value place_unpacked(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<PlaceUnpacked>();
  std::string_view packed;
  if (!get_arguments(env, info, arguments) || !to_unpack(env, arguments, *job)) return nullptr;
  if (!to_descriptor(env, arguments.at[2], job->file)) return nullptr;
  if (!to_descriptor(env, arguments.at[3], job->parent)) return nullptr;
  if (!to_path(env, arguments.at[4], job->name) || !to_path(env, arguments.at[5], job->temporary)) return nullptr;
  if (!to_view(env, arguments.at[6], "packed", packed)) return nullptr;
  job->packed = packed;
  return start_job(env, std::move(job), "placeUnpacked");
}

}  // namespace

void register_unpack_large(napi_env env, napi_value exports) {
  export_function(env, exports, "openUnpacked", open_unpacked);
  export_function(env, exports, "placeUnpacked", place_unpacked);
}

}  // namespace envd
