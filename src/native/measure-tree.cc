// How much of a disk a tree takes (du(1)).
#include <errno.h>
#include <fcntl.h>

#include <set>
#include <string>
#include <utility>

#include "registration.h"
#include "tree-walk.h"
#include "values.h"
#include "walk.h"

namespace envd {

namespace {

constexpr uint64_t block_bytes = 512;
// Memory of a file of several names that is remembered.
constexpr size_t linked_bytes = 64;

struct MeasureTree : TreeWalk {
  std::string path;
  int64_t depth = 0;

  void act() override {
    task->thread = gettid();
    Place place;
    if (!find_place(*this, path, Last::keep, "source", place)) return;
    if (!place.exists()) return fail("source", ENOENT);
    if (!S_ISDIR(place.status.st_mode)) {
      WalkedDirectory alone;
      add(alone, place.status);
      return put(alone);
    }
    Descriptor root(openat(place.entry.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
    const int refused = root.valid() ? walk(std::move(root)) : errno;
    if (refused != 0) fail("measure", refused);
  }

 private:
  std::set<std::pair<dev_t, ino_t>> seen_;

  void add(WalkedDirectory& directory, const struct stat& status) {
    directory.bytes += static_cast<uint64_t>(status.st_blocks) * block_bytes;
    directory.length += S_ISREG(status.st_mode) ? static_cast<uint64_t>(status.st_size) : 0;
    directory.entries++;
    task->files += S_ISDIR(status.st_mode) ? 0 : 1;
    task->directories += S_ISDIR(status.st_mode) ? 1 : 0;
    task->bytes += static_cast<uint64_t>(status.st_blocks) * block_bytes;
  }

  void put(const WalkedDirectory& directory) {
    std::string item;
    for (const uint64_t number : {directory.bytes, directory.length, directory.entries}) put_integer(item, number, 8);
    put_text(item, directory.path);
    task->put(item);
  }

  int enter(WalkedDirectory& directory, int) override {
    add(directory, directory.status);
    return 0;
  }

  int visit(WalkedDirectory& directory, int, const std::string&, const struct stat& status) override {
    const std::pair<dev_t, ino_t> identity(status.st_dev, status.st_ino);
    if (status.st_nlink > 1) {
      if (seen_.count(identity) > 0) return 0;
      // Counted by `shared`: its other names may be counted again.
      if (remember(linked_bytes)) seen_.insert(identity);
      else task->shared++;
    }
    add(directory, status);
    return 0;
  }

  int leave(WalkedDirectory& directory, WalkedDirectory* parent) override {
    if (parent != nullptr) {
      parent->bytes += directory.bytes;
      parent->length += directory.length;
      parent->entries += directory.entries;
    }
    if (level() <= static_cast<size_t>(depth) || parent == nullptr) put(directory);
    return 0;
  }

  int forgive(int) const override { return 0; }
};

napi_value measure_tree(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<MeasureTree>();
  if (!get_arguments(env, info, arguments) || !to_tree_task(env, arguments.at[0], job->task)) return nullptr;
  if (!to_path(env, arguments.at[1], job->path) || !to_actor(env, arguments.at[2], job->actor)) return nullptr;
  if (!to_integer(env, arguments.at[3], "depth", 0, INT32_MAX, job->depth)) return nullptr;
  if (!to_boolean(env, arguments.at[4], "oneFilesystem", job->one_filesystem)) return nullptr;
  return start_thread_job(env, std::move(job), "measureTree");
}

}  // namespace

void register_measure_tree(napi_env env, napi_value exports) {
  export_function(env, exports, "measureTree", measure_tree);
}

}  // namespace envd
