// An entry of an archive as native/unpack.ts packs it, and what gives a file the owner, attributes, permissions and
// time of its entry.
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "descriptor.h"

namespace envd {

enum class Kind : uint32_t { file, directory, link, hard_link, finished_directory };

struct ArchivedEntry {
  Kind kind = Kind::file;
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  timespec modified{};
  std::string path;
  // The target of a link, or the path of the entry that this is another name of.
  std::string target;
  std::string_view content;
  std::vector<std::pair<std::string, std::string>> attributes;
};

// Takes the next entry off; false: there is none, or what is left is no entry.
bool take_entry(std::string_view& packed, ArchivedEntry& entry);

// For whom entries are made.
struct Making {
  // Owners are set: the caller acts with the daemon's rights.
  bool give;
  // They are those of the archive, also of what was there before.
  bool archive_owners;
};

// Sets owner, attributes, permissions and time of an open file. 0, or the errno.
int settle(int file, const ArchivedEntry& entry, const Making& making);

// The owner of a new file in the place of another one: what was another user's stays so, without the bits that let it
// run as its owner.
void keep_owner(ArchivedEntry& entry, const struct stat& before, const Making& making);

// Puts an open file in its place: by a link if it has no name, else by renaming it. A temporary name is gone then in
// any case. 0, or the errno: EISDIR for a directory that stands there.
int put_in_place(int file, int parent, std::string temporary, const std::string& name);

}  // namespace envd
