// Reads a tree below an open directory, many entries in one piece of work: names, facts, targets of links and the
// content of small files. Nothing is reached through a link (openat2(2), RESOLVE_BENEATH), whatever takes whose place
// meanwhile.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "below.h"
#include "job.h"
#include "registration.h"
#include "values.h"
#include "walk.h"

namespace envd {

namespace {

// Files up to this size are read at once; larger ones are left to the caller.
constexpr size_t small_bytes = 64 << 10;
constexpr size_t length_bytes = 4;
// What follows the facts of an entry.
constexpr uint64_t no_content = 0, has_content = 1, large_content = 2;

struct OpenTree : ActorJob {
  std::string path;

  void act() override {
    Place place;
    if (!find_place(*this, path, Last::follow, "open", place)) return;
    if (!place.exists()) return fail("open", ENOENT);
    if (!S_ISDIR(place.status.st_mode)) return fail("open", ENOTDIR);
    Descriptor directory(openat(place.entry.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
    if (!directory.valid()) return fail("open", errno);
    put_integer(result, static_cast<uint32_t>(directory.release()), 4);
  }
};

// A job below an open directory.
struct TreeJob : ActorJob {
  int root = -1;
  std::string path;
};

struct OpenTreeFile : TreeJob {
  void act() override {
    Descriptor file = open_below(root, path, O_RDONLY | O_NOFOLLOW);
    struct stat status {};
    if (!file.valid() || fstat(file.get(), &status) < 0) return fail("open", errno);
    if (!S_ISREG(status.st_mode)) return fail("open", ESTALE);
    put_integer(result, static_cast<uint32_t>(file.release()), 4);
  }
};

struct ListTree : TreeJob {
  size_t limit = 0;

  void act() override {
    Descriptor opened = open_below(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!opened.valid()) return fail("open", errno);
    // What the kernel makes up as it is read is no content of a tree.
    if (is_kernel_filesystem(opened.get())) return;
    DIR* directory = fdopendir(opened.get());
    if (directory == nullptr) return fail("fdopendir", errno);
    opened.release();
    std::vector<std::string> names;
    size_t bytes = 0;
    errno = 0;
    for (const dirent* entry = readdir(directory); entry != nullptr; entry = readdir(directory)) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      bytes += name.size() + length_bytes;
      if (bytes > limit) {
        errno = EOVERFLOW;
        break;
      }
      names.emplace_back(name);
      errno = 0;
    }
    const int number = errno;
    closedir(directory);
    if (number != 0) return fail("readdir", number);
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) put_text(result, name);
  }
};

struct ReadTree : TreeJob {
  std::string names;
  size_t limit = 0;

  void act() override {
    const Descriptor directory = open_below(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory.valid()) return fail("open", errno);
    std::string entries;
    size_t at = 0;
    while (at + length_bytes <= names.size() && entries.size() < limit) {
      size_t length = 0;
      for (size_t i = 0; i < length_bytes; i++)
        length |= static_cast<size_t>(static_cast<unsigned char>(names[at + i])) << (8 * i);
      if (length > names.size() - at - length_bytes) break;
      put_entry(entries, directory.get(), names.substr(at + length_bytes, length));
      at += length_bytes + length;
    }
    put_integer(result, at, length_bytes);
    result += entries;
  }

  // An entry that cannot be read has the errno's name instead of a content.
  void put_entry(std::string& out, int directory, const std::string& name) const {
    struct stat status {};
    std::string content;
    uint64_t state = no_content;
    int refused = fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0 ? errno : 0;
    if (refused == 0 && S_ISLNK(status.st_mode)) {
      char target[PATH_MAX];
      const ssize_t length = readlinkat(directory, name.c_str(), target, sizeof target);
      if (length < 0) refused = errno;
      else content.assign(target, static_cast<size_t>(length));
      state = has_content;
    } else if (refused == 0 && S_ISREG(status.st_mode)) {
      state = static_cast<size_t>(status.st_size) > small_bytes ? large_content : has_content;
      if (state == has_content) refused = read_small(directory, name, status, content);
    }
    put_text(out, name);
    put_text(out, refused == 0 ? "" : error_name(refused));
    for (const uint64_t fact : {static_cast<uint64_t>(status.st_mode), static_cast<uint64_t>(status.st_uid),
                                static_cast<uint64_t>(status.st_gid), static_cast<uint64_t>(status.st_nlink)})
      put_integer(out, fact, 4);
    for (const uint64_t fact : {static_cast<uint64_t>(status.st_dev), static_cast<uint64_t>(status.st_ino),
                                static_cast<uint64_t>(status.st_size), static_cast<uint64_t>(status.st_mtim.tv_sec)})
      put_integer(out, fact, 8);
    put_integer(out, static_cast<uint64_t>(status.st_mtim.tv_nsec), 4);
    put_integer(out, state, 4);
    put_text(out, content);
  }

  // 0, or the errno. What grows beyond `small_bytes` meanwhile is cut there, as of one moment.
  static int read_small(int directory, const std::string& name, struct stat& status, std::string& content) {
    const Descriptor file(openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file.valid()) return errno;
    if (fstat(file.get(), &status) < 0) return errno;
    if (!S_ISREG(status.st_mode)) return ESTALE;
    content.resize(std::min(static_cast<size_t>(status.st_size), small_bytes));
    size_t filled = 0;
    while (filled < content.size()) {
      const ssize_t bytes = read(file.get(), content.data() + filled, content.size() - filled);
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes < 0) return errno;
      if (bytes == 0) break;
      filled += static_cast<size_t>(bytes);
    }
    content.resize(filled);
    return 0;
  }
};

template <typename Work>
std::unique_ptr<Work> below(napi_env env, Arguments& arguments) {
  auto job = std::make_unique<Work>();
  const bool given = to_descriptor(env, arguments.at[0], job->root) && to_path(env, arguments.at[1], job->path) &&
                     to_actor(env, arguments.at[2], job->actor);
  return given ? std::move(job) : nullptr;
}

napi_value open_tree(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<OpenTree>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor)) return nullptr;
  return start_job(env, std::move(job), "openTree");
}

napi_value open_tree_file(napi_env env, napi_callback_info info) {
  Arguments arguments;
  if (!get_arguments(env, info, arguments)) return nullptr;
  auto job = below<OpenTreeFile>(env, arguments);
  return job == nullptr ? nullptr : start_job(env, std::move(job), "openTreeFile");
}

napi_value list_tree(napi_env env, napi_callback_info info) {
  Arguments arguments;
  if (!get_arguments(env, info, arguments)) return nullptr;
  auto job = below<ListTree>(env, arguments);
  int64_t limit = 0;
  if (job == nullptr || !to_integer(env, arguments.at[3], "limit", 0, INT32_MAX, limit)) return nullptr;
  job->limit = static_cast<size_t>(limit);
  return start_job(env, std::move(job), "listTree");
}

napi_value read_tree(napi_env env, napi_callback_info info) {
  Arguments arguments;
  if (!get_arguments(env, info, arguments)) return nullptr;
  auto job = below<ReadTree>(env, arguments);
  int64_t limit = 0;
  std::string_view names;
  if (job == nullptr || !to_view(env, arguments.at[3], "names", names)) return nullptr;
  if (!to_integer(env, arguments.at[4], "limit", 1, INT32_MAX, limit)) return nullptr;
  job->names = names;
  job->limit = static_cast<size_t>(limit);
  return start_job(env, std::move(job), "readTree");
}

}  // namespace

void register_tree(napi_env env, napi_value exports) {
  export_function(env, exports, "openTree", open_tree);
  export_function(env, exports, "openTreeFile", open_tree_file);
  export_function(env, exports, "listTree", list_tree);
  export_function(env, exports, "readTree", read_tree);
}

}  // namespace envd
