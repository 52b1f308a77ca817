#include "archive-entries.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "job.h"
#include "mounts.h"
#include "walk.h"

namespace envd {

namespace {

// Files up to this size are read at once; larger ones are left to the caller.
constexpr size_t small_bytes = 64 << 10;
constexpr size_t length_bytes = 4;
constexpr int read_flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
// The attributes that are archived: those that users keep with their files, and what lets a program have rights of its
// own.
constexpr std::string_view attribute_prefix = "user.", capability_attribute = "security.capability";
// Of all attributes of an entry, names and values.
constexpr size_t max_attributes_bytes = 64 << 10;

uint64_t integer_at(std::string_view packed, size_t at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = bytes; i > 0; i--) value = value << 8 | static_cast<unsigned char>(packed[at + i - 1]);
  return value;
}

constexpr char directory_kind = 'd', file_kind = 'f', other_kind = 'o';

char kind_of(int directory, const dirent& entry) {
  if (entry.d_type == DT_REG) return file_kind;
  if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR ? directory_kind : other_kind;
  struct stat status {};
  const bool known = status_of_entry({directory, false}, entry.d_name, walk_patience, status) == 0;
  return known && S_ISDIR(status.st_mode) ? directory_kind : other_kind;
}

bool is_archived(std::string_view name) {
  return name.substr(0, attribute_prefix.size()) == attribute_prefix || name == capability_attribute;
}

// Appends a file's attributes in the order of their names; false: there are more than an archive takes.
bool read_attributes(int file, Attributes& attributes) {
  // The kernel returns at most 64 KiB of names (XATTR_LIST_MAX).
  char names[max_attributes_bytes];
  const ssize_t length = flistxattr(file, names, sizeof names);
  size_t left = max_attributes_bytes;
  std::string value;
  for (const char* at = names; length > 0 && at < names + length; at += strlen(at) + 1) {
    const std::string_view name = at;
    if (!is_archived(name)) continue;
    value.resize(left);
    const ssize_t bytes = fgetxattr(file, at, value.data(), value.size());
    if (bytes < 0 && errno != ERANGE && errno != E2BIG) continue;
    if (bytes < 0 || name.size() + static_cast<size_t>(bytes) > left) return false;
    left -= name.size() + static_cast<size_t>(bytes);
    attributes.emplace_back(name, value.substr(0, static_cast<size_t>(bytes)));
  }
  std::sort(attributes.begin(), attributes.end());
  return true;
}

void put_status(std::string& out, const struct stat& status, const Attributes& attributes) {
  for (const uint64_t fact : {static_cast<uint64_t>(status.st_mode), static_cast<uint64_t>(status.st_uid),
                              static_cast<uint64_t>(status.st_gid), static_cast<uint64_t>(status.st_nlink),
                              static_cast<uint64_t>(status.st_mtim.tv_nsec)})
    put_integer(out, fact, 4);
  for (const uint64_t fact : {static_cast<uint64_t>(status.st_mtim.tv_sec), static_cast<uint64_t>(status.st_dev),
                              static_cast<uint64_t>(status.st_ino)})
    put_integer(out, fact, 8);
  put_integer(out, attributes.size(), 4);
  for (const auto& [name, value] : attributes) {
    put_text(out, name);
    put_text(out, value);
  }
}

// An entry on its way into the archive. One serves for many, so that its texts keep their memory.
struct Entry {
  std::string name;
  // With what is before every name.
  std::string archived_name;
  char kind = other_kind;
  struct stat status {};
  Attributes attributes;
  std::string content;
  bool large = false;
  // Not all of its attributes are archived.
  bool lost_attributes = false;

  void begin(char next_kind, std::string_view next_name) {
    kind = next_kind;
    name = next_name;
    status = {};
    attributes.clear();
    content.clear();
    large = lost_attributes = false;
  }
};

// 0, or the errno. What grows beyond `small_bytes` meanwhile is cut there, as of one moment.
int read_content(int file, std::string& content, size_t size) {
  content.resize(std::min(size, small_bytes));
  size_t filled = 0;
  while (filled < content.size()) {
    const ssize_t bytes = read(file, content.data() + filled, content.size() - filled);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return errno;
    if (bytes == 0) break;
    filled += static_cast<size_t>(bytes);
  }
  content.resize(filled);
  return 0;
}

int read_link(int directory, Entry& entry) {
  char target[PATH_MAX];
  if (fstatat(directory, entry.name.c_str(), &entry.status, AT_SYMLINK_NOFOLLOW) < 0) return errno;
  if (!S_ISLNK(entry.status.st_mode)) return ESTALE;
  const ssize_t length = readlinkat(directory, entry.name.c_str(), target, sizeof target);
  if (length < 0) return errno;
  entry.content.assign(target, static_cast<size_t>(length));
  return 0;
}

int read_file(int directory, Entry& entry) {
  const Descriptor file = open_entry(directory, entry.name.c_str(), read_flags);
  // What is in a directory that cannot be read is left out when its turn comes.
  if (!file.valid()) return S_ISDIR(entry.status.st_mode) ? 0 : errno;
  if (fstat(file.get(), &entry.status) < 0) return errno;
  entry.lost_attributes = !read_attributes(file.get(), entry.attributes);
  if (S_ISDIR(entry.status.st_mode)) return 0;
  if (!S_ISREG(entry.status.st_mode)) return ESTALE;
  entry.large = static_cast<size_t>(entry.status.st_size) > small_bytes;
  return entry.large ? 0 : read_content(file.get(), entry.content, static_cast<size_t>(entry.status.st_size));
}

// Only files, directories and links are opened: opening a device may have effects of its own.
int read_entry(int directory, Entry& entry) {
  if (entry.kind == file_kind) return read_file(directory, entry);
  const int error = status_of_entry({directory, false}, entry.name.c_str(), walk_patience, entry.status);
  if (error != 0) return error;
  if (S_ISLNK(entry.status.st_mode)) return read_link(directory, entry);
  if (!S_ISREG(entry.status.st_mode) && !S_ISDIR(entry.status.st_mode)) return ENXIO;
  return read_file(directory, entry);
}

std::string path_in(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty()) path += '/';
  return path.append(name);
}

// False: it is left out.
bool archive_entry(const EntriesOptions& options, const ReadDirectory& directory, Entry& entry, Pieces& pieces) {
  const bool read = read_entry(directory.descriptor, entry) == 0;
  if (!read || entry.lost_attributes) pieces.put(Piece::left_out, path_in(directory.path, entry.name));
  if (!read) return false;
  if (options.whole_seconds) entry.status.st_mtim.tv_nsec = 0;
  if (entry.large || (S_ISREG(entry.status.st_mode) && entry.status.st_nlink > 1)) {
    std::string packed;
    put_status(packed, entry.status, entry.attributes);
    put_text(packed, path_in(directory.path, entry.name));
    pieces.put(entry.large ? Piece::large : Piece::linked, packed + entry.content);
    return true;
  }
  const bool link = S_ISLNK(entry.status.st_mode);
  entry.archived_name.assign(directory.leading).append(entry.name).append(S_ISDIR(entry.status.st_mode) ? "/" : "");
  const char flag = S_ISDIR(entry.status.st_mode) ? '5' : link ? '2' : '0';
  const std::string_view target = link ? std::string_view(entry.content) : std::string_view();
  const size_t size = link ? 0 : entry.content.size();
  std::string& out = pieces.bytes();
  put_tar_header(out, {entry.archived_name, target, flag, size, entry.status, entry.attributes, options.owners});
  if (!link) out.append(entry.content).append(tar_padding(entry.content.size()), '\0');
  return true;
}

}  // namespace

int list_directory(Descriptor opened, size_t limit, std::string& out) {
  if (!opened.valid()) return errno;
  // Files that the kernel generates are not archived.
  if (is_kernel_filesystem(opened.get())) return 0;
  const int descriptor = opened.get();
  DIR* directory = fdopendir(descriptor);
  if (directory == nullptr) return errno;
  opened.release();
  std::vector<std::string> names;
  size_t bytes = 0;
  errno = 0;
  for (const dirent* entry = readdir(directory); entry != nullptr; entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    bytes += name.size() + length_bytes + 1;
    if (bytes > limit) {
      errno = EOVERFLOW;
      break;
    }
    names.emplace_back(std::string(name) + kind_of(descriptor, *entry));
    errno = 0;
  }
  const int refused = errno;
  closedir(directory);
  if (refused != 0) return refused;
  // By the names alone: their kinds stand behind them, and before them in what is put.
  const auto before = [](const std::string& a, const std::string& b) {
    return std::string_view(a).substr(0, a.size() - 1) < std::string_view(b).substr(0, b.size() - 1);
  };
  std::sort(names.begin(), names.end(), before);
  for (const std::string& name : names) put_text(out, name.back() + name.substr(0, name.size() - 1));
  return 0;
}

size_t archive_entries(const EntriesOptions& options, const ReadDirectory& directory, std::string_view names,
                       std::vector<std::string>& found, Pieces& pieces) {
  Entry entry;
  size_t at = 0;
  while (at + length_bytes <= names.size() && (at == 0 || !pieces.full())) {
    const size_t length = integer_at(names, at, length_bytes);
    if (length < 2 || length > names.size() - at - length_bytes) break;
    entry.begin(names[at + length_bytes], names.substr(at + length_bytes + 1, length - 1));
    if (archive_entry(options, directory, entry, pieces) && S_ISDIR(entry.status.st_mode)) found.push_back(entry.name);
    at += length_bytes + length;
  }
  return at;
}

bool take_status(std::string_view packed, EntryStatus& result) {
  if (packed.size() < 48) return false;
  result.status.st_mode = static_cast<mode_t>(integer_at(packed, 0, 4));
  result.status.st_uid = static_cast<uid_t>(integer_at(packed, 4, 4));
  result.status.st_gid = static_cast<gid_t>(integer_at(packed, 8, 4));
  result.status.st_mtim.tv_nsec = static_cast<long>(integer_at(packed, 16, 4));
  result.status.st_mtim.tv_sec = static_cast<time_t>(integer_at(packed, 20, 8));
  size_t at = 48;
  const auto text = [&](std::string& out) {
    if (packed.size() - at < length_bytes) return false;
    const size_t length = integer_at(packed, at, length_bytes);
    at += length_bytes;
    if (packed.size() - at < length) return false;
    out = packed.substr(at, length);
    at += length;
    return true;
  };
  for (uint64_t count = integer_at(packed, 44, 4); count > 0; count--) {
    auto& [name, value] = result.attributes.emplace_back();
    if (!text(name) || !text(value)) return false;
  }
  return true;
}

}  // namespace envd
