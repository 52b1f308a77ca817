// Copies a file, link or tree: beside its destination, which it takes in one step when it is whole.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "change-places.h"
#include "copy-entries.h"
#include "made.h"
#include "registration.h"
#include "remove-below.h"
#include "temporary-name.h"
#include "tree-walk.h"
#include "values.h"
#include "walk.h"

namespace envd {

namespace {

constexpr mode_t private_mode = 0700;
// Memory of a file of several names that is remembered, beside its path.
constexpr size_t linked_bytes = 96;

// Whether an open directory is another one or is below it.
bool is_within(int directory, const struct stat& other) {
  Descriptor at(openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat before {};
  for (bool first = true;; first = false) {
    struct stat status {};
    if (!at.valid() || fstat(at.get(), &status) < 0) return false;
    if (is_same(status, other)) return true;
    if (!first && is_same(status, before)) return false;
    before = status;
    at = Descriptor(openat(at.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
}

struct CopyTree : TreeWalk {
  std::string source;
  std::string destination;
  bool recursive = false;
  bool replace = false;
  bool keep_owners = false;

  void act() override {
    task->thread = gettid();
    Place from;
    Place to;
    if (!find_place(*this, source, Last::keep, "source", from)) return;
    if (!from.exists()) return fail("source", ENOENT);
    if (!find_place(*this, destination, Last::keep, "destination", to)) return;
    while (!to.name.empty() && to.name.back() == '/') to.name.pop_back();
    if (!check(from, to)) return;
    const std::string made = temporary_name();
    if (made.empty()) return fail("getrandom", errno);
    copier_ = std::make_unique<EntryCopier>(*task, CopyOwner{actor, keep_owners});
    if (to.exists()) before_ = &to.status;
    copy_to(from, to.parent.get(), made);
    if (error == 0 && task->cancelled) fail("copy", ECANCELED);
    if (error == 0) put_in_place(to, made);
    if (!remove_rest(from, to.parent.get(), made)) task->leave_behind(made);
  }

 private:
  std::unique_ptr<EntryCopier> copier_;
  const struct stat* before_ = nullptr;
  Descriptor into_root_;
  Descriptor into_;
  struct stat made_ {};
  bool placed_ = false;
  // What stood there before.
  Descriptor old_;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;

  bool refuse(const char* name, int number) {
    fail(name, number);
    return false;
  }

  bool check(const Place& from, const Place& to) {
    const bool directory = S_ISDIR(from.status.st_mode);
    if (directory && !recursive) return refuse("source", EISDIR);
    if (!directory && !S_ISREG(from.status.st_mode) && !S_ISLNK(from.status.st_mode)) return refuse("source", ENXIO);
    if (to.name.empty() || to.name == "." || to.name == "..") return refuse("destination", EBUSY);
    if (is_kernel_filesystem(to.parent.get())) return refuse("destination", EROFS);
    if (to.exists() && is_same(from.status, to.status)) return refuse("overlap", EINVAL);
    if (directory && is_within(to.parent.get(), from.status)) return refuse("overlap", EINVAL);
    if (!to.exists()) return true;
    if (!replace) return refuse("destination", EEXIST);
    const bool onto_directory = S_ISDIR(to.status.st_mode);
    if (onto_directory && is_within(from.parent.get(), to.status)) return refuse("overlap", EINVAL);
    if (directory != onto_directory) return refuse("destination", directory ? ENOTDIR : EISDIR);
    return true;
  }

  void copy_to(const Place& from, int parent, const std::string& made) {
    int refused = 0;
    if (S_ISDIR(from.status.st_mode)) {
      refused = copy_directory(from, parent, made);
    } else {
      copier_->replaces(before_);
      refused = copier_->copy(from.parent.get(), from.name, from.status, parent, made);
      if (refused == 0 && fstatat(parent, made.c_str(), &made_, AT_SYMLINK_NOFOLLOW) < 0) refused = errno;
    }
    if (refused != 0) fail(refused == EDEADLK ? "overlap" : "copy", refused);
  }

  int copy_directory(const Place& from, int parent, const std::string& made) {
    Descriptor opened(openat(from.entry.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
    if (!opened.valid()) return errno;
    into_root_ = make_private_directory(parent, made);
    if (!into_root_.valid() || fstat(into_root_.get(), &made_) < 0) return errno;
    return walk(std::move(opened));
  }

  int enter(WalkedDirectory& directory, int) override {
    if (is_same(directory.status, made_)) return EDEADLK;
    const std::string& path = directory.path;
    if (!path.empty() && mkdirat(into_root_.get(), path.c_str(), private_mode) < 0) return errno;
    into_ = open_below(into_root_.get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    return into_.valid() ? 0 : errno;
  }

  int visit(WalkedDirectory& directory, int in, const std::string& name, const struct stat& status) override {
    const std::string path = path_below(directory.path, name);
    const bool linked = S_ISREG(status.st_mode) && status.st_nlink > 1;
    if (linked && link_again(status, name)) return 0;
    const int refused = copier_->copy(in, name, status, into_.get(), name);
    // What vanished meanwhile, and what is no file.
    if (refused == ENOENT || refused == ENXIO) task->leave_out(path);
    else if (refused != 0) return refused;
    else if (linked && remember(path.size() + linked_bytes)) linked_.emplace(identity_of(status), path);
    return 0;
  }

  static std::pair<dev_t, ino_t> identity_of(const struct stat& status) { return {status.st_dev, status.st_ino}; }

  // Another name of what was copied already.
  bool link_again(const struct stat& status, const std::string& name) {
    const auto found = linked_.find(identity_of(status));
    if (found == linked_.end()) return false;
    if (linkat(into_root_.get(), found->second.c_str(), into_.get(), name.c_str(), 0) < 0) return false;
    task->files++;
    return true;
  }

  int leave(WalkedDirectory& directory, WalkedDirectory* parent) override {
    const Descriptor from = open_below(root(), directory.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const Descriptor to = open_below(into_root_.get(), directory.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!to.valid()) return errno;
    copier_->replaces(parent == nullptr ? before_ : nullptr);
    const int refused = copier_->settle(from.get(), to.get(), directory.status);
    if (refused == 0) task->directories++;
    return refused;
  }

  int forgive(int number) const override { return number == ENOENT ? 0 : number; }

  // Either what is not whole, or what stood there before.
  bool remove_rest(const Place& from, int parent, const std::string& made) const {
    static const std::atomic<bool> never{false};
    const Descriptor& rest = placed_ ? old_ : into_root_;
    if (rest.valid()) return remove_opened(rest.get(), parent, made.c_str(), never).error == 0;
    const int flags = S_ISDIR(from.status.st_mode) ? AT_REMOVEDIR : 0;
    return placed_ || unlinkat(parent, made.c_str(), flags) == 0 || errno == ENOENT;
  }

  // In one step; what stood there has the temporary name then, or is gone.
  void put_in_place(const Place& to, const std::string& made) {
    const int parent = to.parent.get();
    struct stat there {};
    if (fstatat(parent, made.c_str(), &there, AT_SYMLINK_NOFOLLOW) < 0) return fail("place", errno);
    // Another process has put something there.
    if (!is_same(there, made_)) return fail("place", ESTALE);
    if (to.exists() && S_ISDIR(to.status.st_mode)) {
      old_ = change_places(parent, made, to.name, to.status.st_uid);
      placed_ = old_.valid();
      return placed_ ? void() : fail("place", errno);
    }
    const bool plain = to.exists();
    placed_ = !plain && renameat2(parent, made.c_str(), parent, to.name.c_str(), RENAME_NOREPLACE) == 0;
    if (placed_) return;
    // Filesystems that have no such flag.
    if (!plain && errno != EINVAL) return fail(errno == EEXIST ? "destination" : "place", errno);
    if (!plain && fstatat(parent, to.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) return fail("destination", EEXIST);
    placed_ = renameat(parent, made.c_str(), parent, to.name.c_str()) == 0;
    if (!placed_) fail("place", errno);
  }
};

napi_value copy_tree(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<CopyTree>();
  if (!get_arguments(env, info, arguments) || !to_tree_task(env, arguments.at[0], job->task)) return nullptr;
  if (!to_path(env, arguments.at[1], job->source) || !to_path(env, arguments.at[2], job->destination)) return nullptr;
  if (!to_actor(env, arguments.at[3], job->actor)) return nullptr;
  if (!to_boolean(env, arguments.at[4], "recursive", job->recursive)) return nullptr;
  if (!to_boolean(env, arguments.at[5], "replace", job->replace)) return nullptr;
  if (!to_boolean(env, arguments.at[6], "keepOwners", job->keep_owners)) return nullptr;
  return start_thread_job(env, std::move(job), "copyTree");
}

}  // namespace

void register_copy_tree(napi_env env, napi_value exports) { export_function(env, exports, "copyTree", copy_tree); }

}  // namespace envd
