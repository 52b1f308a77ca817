#include "archived.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "proc-link.h"
#include "refused-owner.h"
#include "temporary-name.h"

namespace envd {

namespace {

// Reads little-endian integers and texts, and remembers whether there was too little.
struct Reader {
  std::string_view& packed;
  bool short_of = false;

  uint64_t integer(size_t bytes) {
    if (packed.size() < bytes) short_of = true;
    if (short_of) return 0;
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) value |= static_cast<uint64_t>(static_cast<unsigned char>(packed[i])) << (8 * i);
    packed.remove_prefix(bytes);
    return value;
  }

  std::string_view text() {
    const size_t length = integer(4);
    if (packed.size() < length) short_of = true;
    if (short_of) return {};
    const std::string_view value = packed.substr(0, length);
    packed.remove_prefix(length);
    return value;
  }
};

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

// Filesystems without attributes are no error.
int set_attributes(int file, const ArchivedEntry& entry) {
  for (const auto& [name, value] : entry.attributes) {
    if (fsetxattr(file, name.c_str(), value.data(), value.size(), 0) == 0) continue;
    if (errno != ENOTSUP && errno != EPERM) return errno;
  }
  return 0;
}

}  // namespace

bool take_entry(std::string_view& packed, ArchivedEntry& entry) {
  Reader reader{packed};
  entry.kind = static_cast<Kind>(reader.integer(4));
  entry.mode = static_cast<mode_t>(reader.integer(4)) & 07777;
  entry.uid = static_cast<uid_t>(reader.integer(4));
  entry.gid = static_cast<gid_t>(reader.integer(4));
  entry.modified.tv_sec = static_cast<time_t>(reader.integer(8));
  entry.modified.tv_nsec = static_cast<long>(reader.integer(4));
  entry.path = reader.text();
  entry.target = reader.text();
  entry.content = reader.text();
  entry.attributes.clear();
  for (uint64_t count = reader.integer(4); count > 0 && !reader.short_of; count--) {
    std::string name(reader.text());
    entry.attributes.emplace_back(std::move(name), reader.text());
  }
  return !reader.short_of && !has_nul(entry.path) && !has_nul(entry.target);
}

int settle(int file, const ArchivedEntry& entry, const Making& making) {
  if (making.give && fchown(file, entry.uid, entry.gid) < 0 && entry.uid != geteuid()) return refused_owner();
  if (const int error = set_attributes(file, entry); error != 0) return error;
  if (fchmod(file, entry.mode) < 0) return errno;
  const timespec times[2] = {{0, UTIME_OMIT}, entry.modified};
  return futimens(file, times) < 0 ? errno : 0;
}

void keep_owner(ArchivedEntry& entry, const struct stat& before, const Making& making) {
  if (making.archive_owners || !making.give || before.st_uid == entry.uid || geteuid() != 0) return;
  entry.uid = before.st_uid;
  entry.gid = before.st_gid;
  entry.mode &= 0777;
}

int put_in_place(int file, int parent, std::string temporary, const std::string& name) {
  if (temporary.empty()) {
    int refused = link_open_file(file, parent, name);
    if (refused != EEXIST) return refused;
    temporary = temporary_name();
    refused = temporary.empty() ? errno : link_open_file(file, parent, temporary);
    if (refused != 0) return refused;
  }
  const int refused = renameat(parent, temporary.c_str(), parent, name.c_str()) < 0 ? errno : 0;
  // rename(2) of two names of the same file does nothing.
  unlinkat(parent, temporary.c_str(), 0);
  return refused;
}

}  // namespace envd
