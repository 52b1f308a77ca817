// Sets owner, permissions, times and extended attributes of an entry, or of all in a tree; never through a link.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "proc-link.h"
#include "refused-owner.h"
#include "registration.h"
#include "tree-walk.h"
#include "values.h"
#include "walk.h"

namespace envd {

namespace {

// Offsets in what native/tree-task.ts packs.
enum Present : uint64_t {
  mode_set = 1,
  directory_mode_set = 2,
  uid_set = 4,
  gid_set = 8,
  modified_set = 16,
  accessed_set = 32
};
constexpr size_t packed_bytes = 48;

uint64_t integer_at(std::string_view packed, size_t at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = bytes; i > 0; i--) value = value << 8 | static_cast<unsigned char>(packed[at + i - 1]);
  return value;
}

struct Changes {
  std::optional<mode_t> mode;
  std::optional<mode_t> directory_mode;
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
  // Accessed, modified.
  timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
  // Whole names and values in turn, and names that go.
  std::vector<std::string> attributes;
  std::vector<std::string> removed;

  explicit Changes(std::string_view packed) {
    const uint64_t present = integer_at(packed, 0, 4);
    if ((present & mode_set) != 0) mode = static_cast<mode_t>(integer_at(packed, 4, 4));
    if ((present & directory_mode_set) != 0) directory_mode = static_cast<mode_t>(integer_at(packed, 8, 4));
    if ((present & uid_set) != 0) uid = static_cast<uid_t>(integer_at(packed, 12, 4));
    if ((present & gid_set) != 0) gid = static_cast<gid_t>(integer_at(packed, 16, 4));
    if ((present & accessed_set) != 0) times[0] = time_at(packed, 20);
    if ((present & modified_set) != 0) times[1] = time_at(packed, 32);
  }

  static timespec time_at(std::string_view packed, size_t at) {
    return {static_cast<time_t>(integer_at(packed, at, 8)), static_cast<long>(integer_at(packed, at + 8, 4))};
  }

  bool has_owner() const { return uid != static_cast<uid_t>(-1) || gid != static_cast<gid_t>(-1); }
  bool has_times() const { return times[0].tv_nsec != UTIME_OMIT || times[1].tv_nsec != UTIME_OMIT; }
};

struct ChangeTree : TreeWalk {
  std::string path;
  bool recursive = false;
  std::optional<Changes> changes;

  void act() override {
    task->thread = gettid();
    Place place;
    if (!find_place(*this, path, Last::keep, "source", place)) return;
    if (!place.exists()) return fail("source", ENOENT);
    if (is_kernel_filesystem(place.parent.get()) || is_kernel_filesystem(place.entry.get())) return fail("source", EROFS);
    // A top entry that the caller may not change is an error, and not left out.
    if (const int refused = may_change(place.status); refused != 0) return fail("rights", refused);
    int refused = 0;
    if (!recursive || !S_ISDIR(place.status.st_mode)) {
      refused = change(place.entry.get(), place.status);
    } else {
      Descriptor root(openat(place.entry.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
      refused = root.valid() ? walk(std::move(root)) : errno;
    }
    if (refused != 0) fail("change", refused);
  }

 private:
  // Only what is theirs, as chmod(2) has it.
  int may_change(const struct stat& status) const {
    return actor.uid == 0 || !actor.checked || status.st_uid == actor.uid ? 0 : EPERM;
  }

  int change(int entry, const struct stat& status) {
    if (S_ISLNK(status.st_mode)) return change_link(entry);
    const std::string self = proc_link(entry);
    const char* name = self.c_str();
    if (changes->has_owner() && chown(name, changes->uid, changes->gid) < 0) return refused_owner();
    const auto& mode = S_ISDIR(status.st_mode) && changes->directory_mode ? changes->directory_mode : changes->mode;
    if (mode && chmod(name, *mode) < 0) return errno;
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) {
      if (const int refused = change_attributes(name); refused != 0) return refused;
    }
    if (changes->has_times() && utimensat(AT_FDCWD, name, changes->times, 0) < 0) return errno;
    (S_ISDIR(status.st_mode) ? task->directories : task->files)++;
    return 0;
  }

  int change_link(int link) {
    if (changes->has_owner() && fchownat(link, "", changes->uid, changes->gid, AT_EMPTY_PATH) < 0) return refused_owner();
    if (changes->has_times() && utimensat(link, "", changes->times, AT_EMPTY_PATH) < 0) return errno;
    task->links++;
    return 0;
  }

  int change_attributes(const char* name) const {
    for (const std::string& gone : changes->removed)
      if (removexattr(name, gone.c_str()) < 0 && errno != ENODATA) return errno;
    const auto& pairs = changes->attributes;
    for (size_t i = 0; i + 1 < pairs.size(); i += 2)
      if (setxattr(name, pairs[i].c_str(), pairs[i + 1].data(), pairs[i + 1].size(), 0) < 0) return errno;
    return 0;
  }

  // What they may not change is left out, and what vanished meanwhile.
  int change_below(const Descriptor& entry, const std::string& at) {
    struct stat status {};
    int refused = entry.valid() && fstat(entry.get(), &status) == 0 ? may_change(status) : errno;
    if (refused == 0) refused = change(entry.get(), status);
    if (refused == 0 || forgive(refused) != 0) return refused;
    task->leave_out(at);
    return 0;
  }

  int enter(WalkedDirectory&, int) override { return 0; }

  int visit(WalkedDirectory& directory, int in, const std::string& name, const struct stat&) override {
    const Descriptor entry(openat(in, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    return change_below(entry, path_below(directory.path, name));
  }

  // After what is in it: without permissions it could not be walked.
  int leave(WalkedDirectory& directory, WalkedDirectory*) override {
    const Descriptor entry = open_below(root(), directory.path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (entry.valid() && is_kernel_filesystem(entry.get())) return 0;
    return change_below(entry, directory.path);
  }

  int forgive(int number) const override {
    const bool theirs = number == EPERM || number == EACCES;
    return theirs || number == ENOENT || number == ENOTDIR || number == ELOOP || number == ETIMEDOUT ? 0 : number;
  }
};

napi_value change_tree(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<ChangeTree>();
  std::string_view packed;
  if (!get_arguments(env, info, arguments) || !to_tree_task(env, arguments.at[0], job->task)) return nullptr;
  if (!to_path(env, arguments.at[1], job->path) || !to_actor(env, arguments.at[2], job->actor)) return nullptr;
  if (!to_boolean(env, arguments.at[3], "recursive", job->recursive)) return nullptr;
  if (!to_view(env, arguments.at[4], "changes", packed)) return nullptr;
  if (packed.size() != packed_bytes) return throw_errno(env, "changeTree", EINVAL);
  job->changes.emplace(packed);
  if (!to_strings(env, arguments.at[5], "attributes", job->changes->attributes)) return nullptr;
  if (!to_strings(env, arguments.at[6], "removed", job->changes->removed)) return nullptr;
  return start_thread_job(env, std::move(job), "changeTree");
}

}  // namespace

void register_change_tree(napi_env env, napi_value exports) {
  export_function(env, exports, "changeTree", change_tree);
}

}  // namespace envd
