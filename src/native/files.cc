// The facts about files that clients ask for, those about all entries of a directory in one piece of work: lstat(2),
// the target of a link, extended attributes. Results come back as packed bytes, which native/entries.ts reads.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "cached.h"
#include "entry-layout.h"
#include "job.h"
#include "mounts.h"
#include "proc-link.h"
#include "put-entry.h"
#include "registration.h"
#include "values.h"
#include "version.h"
#include "walk.h"

namespace envd {

namespace {

// Of the length before a text (put_text).
constexpr size_t length_bytes = 4;

size_t length_at(std::string_view packed, size_t at) {
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; i++)
    length |= static_cast<size_t>(static_cast<unsigned char>(packed[at + i])) << (8 * i);
  return length;
}

struct ReadEntry : ActorJob {
  std::string path;
  std::string prefix;

  void act() override {
    Place place;
    if (!find_place(*this, path, Last::look, "lstat", place)) return;
    if (!place.exists()) return fail("lstat", ENOENT);
    const bool local = S_ISLNK(place.status.st_mode) && is_local(place.parent.get());
    if (const int error = put_entry(result, {place.parent.get(), local}, place.name, path, prefix); error != 0)
      return fail("lstat", error);
    const bool has_attributes = result.size() > length_bytes + place.name.size() + fixed_bytes + length_bytes;
    const bool answered = result[length_bytes + place.name.size() + fixed_bytes - 1] != does_not_answer;
    if (!S_ISLNK(place.status.st_mode) && !has_attributes && answered)
      remember_without_attributes(place.entry.get(), place.status, prefix);
  }
};

// What stat(2), statfs(2) and realpath(3) return for a path.
struct ReadStatus : ActorJob {
  std::string path;
  Place place;

  void act() override {
    if (!find_place(*this, path, Last::follow, "stat", place)) return;
    if (!place.exists()) fail("stat", ENOENT);
  }

  void conclude() override {
    struct statfs filesystem {};
    if (fstatfs(place.entry.get(), &filesystem) < 0) return fail("statfs", errno);
    std::string real;
    if (const int error = find_real_path(place, path, real); error != 0) return fail("realpath", error);
    put_integer(result, place.status.st_mode, 4);
    put_integer(result, place.status.st_rdev, 8);
    put_integer(result, place.status.st_dev, 8);
    put_integer(result, place.status.st_ino, 8);
    put_integer(result, static_cast<uint64_t>(filesystem.f_type), 8);
    put_version(result, place.status);
    put_text(result, real);
  }
};

// All names of a directory in byte order, packed one after the other, in memory that is bounded before it is taken.
struct ReadNames : ActorJob {
  std::string path;
  size_t limit = 0;

  void act() override {
    Place place;
    if (!find_place(*this, path, Last::follow, "open", place)) return;
    if (!place.exists()) return fail("open", ENOENT);
    const int descriptor = openat(place.entry.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return fail("open", errno);
    DIR* directory = fdopendir(descriptor);
    if (directory == nullptr) {
      fail("fdopendir", errno);
      close(descriptor);
      return;
    }
    std::string names;
    std::vector<uint32_t> starts;
    if (read_names(directory, names, starts)) put_sorted(names, starts);
    closedir(directory);
  }

  bool read_names(DIR* directory, std::string& names, std::vector<uint32_t>& starts) {
    names.reserve(limit);
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(directory);
      if (entry == nullptr) break;
      if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
      if (names.size() + length_bytes + strlen(entry->d_name) > limit) {
        fail("readdir", EOVERFLOW);
        return false;
      }
      starts.push_back(static_cast<uint32_t>(names.size()));
      put_text(names, entry->d_name);
    }
    if (errno == 0) return true;
    fail("readdir", errno);
    return false;
  }

  void put_sorted(const std::string& names, std::vector<uint32_t>& starts) {
    const std::string_view all = names;
    const auto name_at = [all](uint32_t start) { return all.substr(start + length_bytes, length_at(all, start)); };
    std::sort(starts.begin(), starts.end(), [&](uint32_t a, uint32_t b) { return name_at(a) < name_at(b); });
    result.reserve(names.size());
    for (const uint32_t start : starts) put_text(result, name_at(start));
  }
};

// The facts about entries of a directory, as many as fit: how many bytes of the names were used, then the entries.
struct ReadEntries : ActorJob {
  std::string path;
  std::string prefix;
  std::string names;
  size_t limit = 0;

  void act() override {
    Place place;
    if (!find_place(*this, path, Last::follow, "open", place)) return;
    if (!place.exists()) return fail("open", ENOENT);
    const Descriptor directory(openat(place.entry.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
    if (!directory.valid()) return fail("open", errno);
    const Listed listed{directory.get(), is_local(directory.get())};
    std::string full = path;
    if (full.empty() || full.back() != '/') full.push_back('/');
    const size_t base = full.size();
    std::string entries;
    size_t at = 0;
    while (at + length_bytes <= names.size() && entries.size() < limit) {
      const size_t end = at + length_bytes + length_at(names, at);
      if (end > names.size()) break;
      const std::string name = names.substr(at + length_bytes, end - at - length_bytes);
      full.resize(base);
      full.append(name);
      const int error = put_entry(entries, listed, name, full, prefix);
      // What vanished meanwhile, or does not let itself be looked at, is left out.
      if (error != 0 && error != ENOENT && error != ENOTDIR && error != EACCES) return fail("lstat", error);
      at = end;
    }
    put_integer(result, at, length_bytes);
    result.append(entries);
  }
};

napi_value read_entry(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<ReadEntry>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_string(env, arguments.at[1], "prefix", job->prefix) || !to_actor(env, arguments.at[2], job->actor))
    return nullptr;
  return start_question(env, std::move(job), "readEntry");
}

napi_value read_names(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<ReadNames>();
  int64_t limit = 0;
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_integer(env, arguments.at[1], "limit", 0, INT32_MAX, limit)) return nullptr;
  if (!to_actor(env, arguments.at[2], job->actor)) return nullptr;
  job->limit = static_cast<size_t>(limit);
  return start_question(env, std::move(job), "readNames");
}

napi_value read_entries(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<ReadEntries>();
  int64_t limit = 0;
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_string(env, arguments.at[1], "prefix", job->prefix)) return nullptr;
  std::string_view names;
  if (!to_view(env, arguments.at[2], "names", names)) return nullptr;
  job->names = names;
  if (!to_integer(env, arguments.at[3], "limit", 1, INT32_MAX, limit)) return nullptr;
  if (!to_actor(env, arguments.at[4], job->actor)) return nullptr;
  job->limit = static_cast<size_t>(limit);
  return start_question(env, std::move(job), "readEntries");
}

napi_value read_status(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<ReadStatus>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor)) return nullptr;
  return start_question(env, std::move(job), "readStatus");
}

napi_value hide(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int64_t pid = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  if (!to_integer(env, arguments.at[0], "pid", 0, INT32_MAX, pid)) return nullptr;
  hide_process(static_cast<pid_t>(pid));
  return nullptr;
}

}  // namespace

void register_files(napi_env env, napi_value exports) {
  napi_value layout = nullptr;
  if (napi_create_uint32(env, entry_layout, &layout) == napi_ok)
    napi_set_named_property(env, exports, "entryLayout", layout);
  export_function(env, exports, "readEntry", read_entry);
  export_function(env, exports, "readNames", read_names);
  export_function(env, exports, "readEntries", read_entries);
  export_function(env, exports, "readStatus", read_status);
  export_function(env, exports, "hideProcess", hide);
}

}  // namespace envd
