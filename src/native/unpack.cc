// Makes the entries of an archive below an open directory, many in one piece of work. Nothing is written in place: what
// stands there is replaced, so that neither links nor other names of a file lead anywhere.
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "made.h"
#include "registration.h"
#include "temporary-name.h"

namespace envd {

namespace {

struct UnpackEntries : Unpack {
  // Held until the job is deleted, on the event loop.
  napi_env env = nullptr;
  napi_ref reference = nullptr;
  std::string_view packed;
  // Of the entry before: archives have those of a directory one after the other.
  std::string directory;
  Descriptor parent;

  ~UnpackEntries() override {
    if (reference != nullptr) napi_delete_reference(env, reference);
  }

  void act() override {
    std::string_view rest = packed;
    ArchivedEntry entry;
    uint64_t done = 0;
    int refused = 0;
    for (; refused == 0 && !rest.empty(); done++) refused = take_entry(rest, entry) ? make(entry) : EINVAL;
    put_integer(result, refused == 0 ? done : done - 1, 4);
    put_text(result, refused == 0 ? "" : error_name(refused));
  }

  int make(ArchivedEntry& entry) {
    if (entry.kind == Kind::finished_directory) return finish_directory(entry);
    Names names;
    if (!split_below(entry.path, names)) return errno;
    if (!parent.valid() || names.directory != directory) {
      parent = ensure_below(root, names.directory, owner());
      if (!parent.valid()) return errno;
      directory = names.directory;
    }
    switch (entry.kind) {
      case Kind::file:
        return make_file(names.last, entry);
      case Kind::directory:
        return make_directory(names.last, entry);
      case Kind::link:
        return make_link(names.last, entry);
      case Kind::hard_link:
        return make_hard_link(names.last, entry.target);
      default:
        return EINVAL;
    }
  }

  // What stands where an entry comes: 0 and its status, EEXIST for a directory.
  int look(const std::string& name, struct stat& status) const {
    if (fstatat(parent.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) return errno;
    return S_ISDIR(status.st_mode) ? EEXIST : 0;
  }

  int make_file(const std::string& name, ArchivedEntry& entry) {
    std::string made = name;
    Descriptor file(openat(parent.get(), name.c_str(), make_flags, private_mode));
    if (!file.valid() && errno == EEXIST) {
      struct stat before {};
      if (const int refused = look(name, before); refused != 0) return refused;
      keep_owner(entry, before, making());
      made = temporary_name();
      if (made.empty()) return errno;
      file.reset(openat(parent.get(), made.c_str(), make_flags, private_mode));
    }
    if (!file.valid()) return errno;
    int refused = write_all(file.get(), entry.content);
    if (refused == 0) refused = settle(file.get(), entry, making());
    if (refused != 0) drop(file.get(), made);
    // NFS reports a full disk here.
    else if (close(file.release()) < 0) refused = errno;
    if (refused == 0 && made != name) {
      refused = renameat(parent.get(), made.c_str(), parent.get(), name.c_str()) < 0 ? errno : 0;
      if (refused != 0) unlinkat(parent.get(), made.c_str(), 0);
    }
    return refused;
  }

  static int write_all(int file, std::string_view content) {
    while (!content.empty()) {
      const ssize_t bytes = write(file, content.data(), content.size());
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes < 0) return errno;
      content.remove_prefix(static_cast<size_t>(bytes));
    }
    return 0;
  }

  // Removes what was made here, and nothing that has taken its place.
  void drop(int file, const std::string& name) const {
    struct stat made {}, there {};
    if (fstat(file, &made) < 0 || fstatat(parent.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) < 0) return;
    if (made.st_ino == there.st_ino && made.st_dev == there.st_dev) unlinkat(parent.get(), name.c_str(), 0);
  }

  // Its permissions and times come when all is in it (`finish_directory`); until then it can be written.
  int make_directory(const std::string& name, const ArchivedEntry& entry) {
    const NewOwner given{!actor.own_rights, entry.uid, entry.gid};
    const Refused refused = envd::make_directory(parent.get(), name, 0700 | (entry.mode & 0777), given);
    if (refused.error != EEXIST) return refused.error;
    struct stat before {};
    const int there = look(name, before);
    return there == EEXIST ? 0 : there == 0 ? ENOTDIR : there;
  }

  int finish_directory(const ArchivedEntry& entry) const {
    const Descriptor made = open_below(root, entry.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    struct stat status {};
    const bool there = made.valid() && fstat(made.get(), &status) == 0;
    if (!there) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : errno;
    if (status.st_uid != entry.uid && !archive_owners) return 0;
    ArchivedEntry finished = entry;
    // Those that it inherited, or had before.
    if (!archive_owners) finished.mode |= status.st_mode & 07000;
    if (!archive_owners) finished.gid = status.st_gid;
    return settle(made.get(), finished, making());
  }

  int make_link(const std::string& name, const ArchivedEntry& entry) const {
    const NewOwner given{making().give, entry.uid, entry.gid};
    const timespec times[2] = {{0, UTIME_OMIT}, entry.modified};
    const auto make_as = [&](const std::string& made) {
      return envd::make_link(entry.target, parent.get(), made, given, times).error;
    };
    if (const int refused = make_as(name); refused != EEXIST) return refused;
    struct stat before {};
    if (const int refused = look(name, before); refused != 0) return refused;
    const std::string made = temporary_name();
    if (made.empty()) return errno;
    int refused = make_as(made);
    if (refused == 0 && renameat(parent.get(), made.c_str(), parent.get(), name.c_str()) < 0) refused = errno;
    if (refused != 0) unlinkat(parent.get(), made.c_str(), 0);
    return refused;
  }

  int make_hard_link(const std::string& name, const std::string& target) const {
    Names names;
    if (!split_below(target, names)) return errno;
    const Descriptor from = open_below(root, names.directory, O_PATH | O_DIRECTORY);
    if (!from.valid()) return errno;
    const auto link_as = [&](const std::string& other) {
      return linkat(from.get(), names.last.c_str(), parent.get(), other.c_str(), 0);
    };
    if (link_as(name) == 0) return 0;
    if (errno != EEXIST) return errno == EPERM ? EACCES : errno;
    struct stat before {};
    if (const int refused = look(name, before); refused != 0) return refused;
    const std::string made = temporary_name();
    if (made.empty() || link_as(made) < 0) return errno;
    const int refused = renameat(parent.get(), made.c_str(), parent.get(), name.c_str()) < 0 ? errno : 0;
    // rename(2) of two names of the same file does nothing.
    unlinkat(parent.get(), made.c_str(), 0);
    return refused;
  }
};

napi_value unpack_entries(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<UnpackEntries>();
  if (!get_arguments(env, info, arguments) || !to_unpack(env, arguments, *job)) return nullptr;
  if (!to_descriptor(env, arguments.at[2], job->root) || !to_view(env, arguments.at[3], "packed", job->packed)) return nullptr;
  job->env = env;
  if (napi_create_reference(env, arguments.at[3], 1, &job->reference) != napi_ok) return nullptr;
  return start_job(env, std::move(job), "unpackEntries");
}

}  // namespace

void register_unpack(napi_env env, napi_value exports) {
  export_function(env, exports, "unpackEntries", unpack_entries);
}

}  // namespace envd
