// Reads a tree below an open directory, many entries in one piece of work: names, facts, targets of links and the
// content of small files. No link is followed (openat2(2), RESOLVE_BENEATH), even if one takes the place of a directory
// meanwhile.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "archive-directories.h"
#include "archive-entries.h"
#include "below.h"
#include "few-descriptors.h"
#include "job.h"
#include "registration.h"
#include "tar-header.h"
#include "values.h"
#include "walk.h"

namespace envd {

namespace {

// The descriptor at the beginning of a result, if there is one.
void close_opened(const std::string& result) {
  if (result.size() < 4) return;
  uint32_t descriptor = 0;
  for (size_t i = 0; i < 4; i++) descriptor |= static_cast<uint32_t>(static_cast<unsigned char>(result[i])) << (8 * i);
  close(static_cast<int>(descriptor));
}

struct OpenTree : ActorJob {
  std::string path;

  void act() override {
    Place place;
    if (!find_place(*this, path, Last::follow, "open", place)) return;
    if (!place.exists()) return fail("open", ENOENT);
    if (few_descriptors()) return fail("open", EMFILE);
    if (!S_ISDIR(place.status.st_mode)) return fail("open", ENOTDIR);
    Descriptor directory(openat(place.entry.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
    if (!directory.valid()) return fail("open", errno);
    put_integer(result, static_cast<uint32_t>(directory.release()), 4);
  }

  void discard() override { close_opened(result); }
};

// A job below an open directory.
struct TreeJob : ActorJob {
  int root = -1;
  std::string path;
};

struct OpenTreeFile : TreeJob {
  void act() override {
    struct stat status {};
    // Looked at before it is opened: opening a device may have effects of its own.
    const Descriptor found = open_below(root, path, O_PATH | O_NOFOLLOW);
    if (!found.valid() || fstat(found.get(), &status) < 0) return fail("open", errno);
    if (!S_ISREG(status.st_mode)) return fail("open", ESTALE);
    Descriptor file = open_below(root, path, O_RDONLY | O_NOFOLLOW);
    if (!file.valid() || fstat(file.get(), &status) < 0) return fail("open", errno);
    if (!S_ISREG(status.st_mode)) return fail("open", ESTALE);
    put_integer(result, static_cast<uint32_t>(file.release()), 4);
  }

  void discard() override { close_opened(result); }
};

struct ListTree : TreeJob {
  size_t limit = 0;

  void act() override {
    const int refused = list_directory(open_below(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), limit, result);
    if (refused != 0) fail("readdir", refused);
  }
};

// Where a file has content: offset and length of each piece, whole blocks of an archive but for the last.
struct FilePieces : Job {
  int file = -1;
  size_t limit = 0;

  void run() override {
    struct stat status {};
    if (fstat(file, &status) < 0) return fail("fstat", errno);
    const off_t size = status.st_size;
    size_t count = 0;
    for (off_t at = 0; at < size;) {
      const off_t start = lseek(file, at, SEEK_DATA);
      if (start < 0 && errno == ENXIO) break;
      const off_t end = start < 0 ? -1 : lseek(file, start, SEEK_HOLE);
      if (end < 0) return fail("lseek", errno);
      if (++count > limit) return fail("lseek", EOVERFLOW);
      const off_t block = static_cast<off_t>(tar_block_bytes);
      const off_t first = std::max(at, start - start % block);
      at = std::min(size, end + (block - end % block) % block);
      put_integer(result, static_cast<uint64_t>(first), 8);
      put_integer(result, static_cast<uint64_t>(at - first), 8);
    }
  }
};

// Of a result beyond its limit, for small files as most are: the last of them with its headers.
constexpr size_t beyond_limit_bytes = 6 << 10;

struct ReadTree : TreeJob {
  std::string leading;
  std::string names;
  std::string owners;
  bool listed = false;
  bool whole_seconds = false;
  size_t limit = 0;
  size_t names_limit = 0;

  void act() override {
    // At once, where that suffices.
    result.reserve(limit + beyond_limit_bytes);
    // The bytes of the names that were used.
    put_integer(result, 0, 4);
    Pieces pieces(result, limit);
    const EntriesOptions entries{{owners}, whole_seconds};
    if (listed) archive_names(entries, pieces);
    else if (const int refused = archive_directories({root, names_limit, entries}, path, leading, pieces); refused != 0)
      return fail("readdir", refused);
    pieces.end();
  }

  void archive_names(const EntriesOptions& entries, Pieces& pieces) {
    const Descriptor directory = open_below(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory.valid()) return fail("open", errno);
    std::vector<std::string> found;
    const size_t used = archive_entries(entries, {directory.get(), path, leading}, names, found, pieces);
    for (const std::string& name : found) pieces.put(Piece::found, path.empty() ? name : path + "/" + name);
    for (size_t i = 0; i < 4; i++) result[i] = static_cast<char>(used >> (8 * i));
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
  return start_question(env, std::move(job), "openTree");
}

napi_value open_tree_file(napi_env env, napi_callback_info info) {
  Arguments arguments;
  if (!get_arguments(env, info, arguments)) return nullptr;
  auto job = below<OpenTreeFile>(env, arguments);
  return job == nullptr ? nullptr : start_question(env, std::move(job), "openTreeFile");
}

napi_value list_tree(napi_env env, napi_callback_info info) {
  Arguments arguments;
  if (!get_arguments(env, info, arguments)) return nullptr;
  auto job = below<ListTree>(env, arguments);
  int64_t limit = 0;
  if (job == nullptr || !to_integer(env, arguments.at[3], "limit", 0, INT32_MAX, limit)) return nullptr;
  job->limit = static_cast<size_t>(limit);
  return start_question(env, std::move(job), "listTree");
}

napi_value read_tree(napi_env env, napi_callback_info info) {
  Arguments arguments;
  if (!get_arguments(env, info, arguments)) return nullptr;
  auto job = below<ReadTree>(env, arguments);
  int64_t limit = 0;
  int64_t names_limit = 0;
  if (job == nullptr || !to_path(env, arguments.at[3], job->leading)) return nullptr;
  if (!to_integer(env, arguments.at[4], "limit", 1, INT32_MAX, limit)) return nullptr;
  if (!to_integer(env, arguments.at[5], "namesLimit", 0, INT32_MAX, names_limit)) return nullptr;
  job->listed = !is_undefined(env, arguments.at[6]);
  std::string_view names;
  if (job->listed && !to_view(env, arguments.at[6], "names", names)) return nullptr;
  std::string_view owners;
  if (!to_view(env, arguments.at[7], "owners", owners)) return nullptr;
  if (!to_boolean(env, arguments.at[8], "wholeSeconds", job->whole_seconds)) return nullptr;
  job->names = names;
  job->owners = owners;
  job->limit = static_cast<size_t>(limit);
  job->names_limit = static_cast<size_t>(names_limit);
  return start_question(env, std::move(job), "readTree");
}

napi_value file_pieces(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<FilePieces>();
  int64_t limit = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->file)) return nullptr;
  if (!to_integer(env, arguments.at[1], "limit", 0, INT32_MAX, limit)) return nullptr;
  job->limit = static_cast<size_t>(limit);
  return start_question(env, std::move(job), "filePieces");
}

// The header of an entry whose facts `readTree` has packed; at once.
napi_value tar_header(napi_env env, napi_callback_info info) {
  Arguments arguments;
  std::string_view packed, name, link;
  std::string_view owners;
  int64_t flag = 0;
  int64_t size = 0;
  int64_t real_size = -1;
  if (!get_arguments(env, info, arguments) || !to_view(env, arguments.at[0], "facts", packed)) return nullptr;
  if (!to_view(env, arguments.at[1], "name", name) || !to_view(env, arguments.at[2], "link", link)) return nullptr;
  if (!to_integer(env, arguments.at[3], "flag", 0, 127, flag)) return nullptr;
  if (!to_integer(env, arguments.at[4], "size", 0, INT64_MAX, size)) return nullptr;
  if (!to_view(env, arguments.at[5], "owners", owners)) return nullptr;
  if (!is_undefined(env, arguments.at[6]) && !to_integer(env, arguments.at[6], "realSize", 0, INT64_MAX, real_size))
    return nullptr;
  EntryStatus status;
  if (!take_status(packed, status)) return throw_errno(env, "tarHeader", EINVAL);
  std::string header;
  const auto& [facts, attributes] = status;
  put_tar_header(header, {name, link, static_cast<char>(flag), static_cast<uint64_t>(size), facts, attributes, {owners},
                          real_size});
  napi_value result = nullptr;
  napi_create_buffer_copy(env, header.size(), header.data(), nullptr, &result);
  return result;
}

}  // namespace

void register_tree(napi_env env, napi_value exports) {
  export_function(env, exports, "openTree", open_tree);
  export_function(env, exports, "openTreeFile", open_tree_file);
  export_function(env, exports, "listTree", list_tree);
  export_function(env, exports, "readTree", read_tree);
  export_function(env, exports, "filePieces", file_pieces);
  export_function(env, exports, "tarHeader", tar_header);
}

}  // namespace envd
