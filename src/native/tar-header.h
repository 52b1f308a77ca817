// Headers of tar archives (pax, POSIX.1-2017).
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace envd {

using Attributes = std::vector<std::pair<std::string, std::string>>;

// Names of users and groups, as native/tree.ts packs them: each 'u' or 'g', four bytes of id, a byte of length, the name.
struct OwnerNames {
  std::string_view packed;

  // Empty: there is none.
  std::string_view find(char kind, uint32_t id) const;
};

struct TarHeader {
  // As on disk; not necessarily UTF-8.
  std::string_view name;
  // The target of a link, or the name of the entry that a hard link is another name of; else empty.
  std::string_view link;
  // '0' a file, '1' a hard link, '2' a link, '5' a directory.
  char flag;
  // Bytes of content that follow.
  uint64_t size;
  // Permissions, owner and times.
  const struct stat& status;
  const Attributes& attributes;
  OwnerNames owners = {};
  // Bytes of a file with holes, whose content is then a map of its pieces and these (GNU tar's format 1.0); -1: none.
  int64_t real_size = -1;
};

inline constexpr size_t tar_block_bytes = 512;

// Bytes behind a content of that length, so that the next header begins at a block.
inline size_t tar_padding(size_t size) { return (tar_block_bytes - size % tar_block_bytes) % tar_block_bytes; }

// Appends the header blocks of an entry, with extended ones before it for what an old header has no room for.
void put_tar_header(std::string& out, const TarHeader& header);

}  // namespace envd
