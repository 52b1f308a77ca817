// The entries of a directory as the bytes of a tar archive, many in one piece of work.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "descriptor.h"
#include "tar-header.h"

namespace envd {

// Appends the names in a directory in byte order, each with its length before it, and before the name 'd' for a
// directory, 'f' for a file, 'o' for anything else or what is not known; none for a filesystem of the kernel's own. 0,
// or the errno: EOVERFLOW for more than `limit` bytes.
int list_directory(Descriptor directory, size_t limit, std::string& out);

struct EntriesOptions {
  int directory;
  // Before every name.
  std::string_view leading;
  // Bytes after which no more entries are read.
  size_t limit;
  OwnerNames owners;
  // Times lose their fractions.
  bool whole_seconds;
};

// What follows: bytes of the archive, the name of a directory whose header was written, an entry that the caller
// archives (its facts, name, and content unless it is large), the name of an entry that could not be read.
enum class Piece : uint32_t { bytes, directory, large, linked, left_out };

// Appends the entries of these names as pieces, each with its kind and length before it. The bytes of `names` that were
// used.
size_t archive_entries(const EntriesOptions& options, std::string_view names, std::string& out);

// The facts of an entry that is left to the caller.
struct EntryStatus {
  struct stat status {};
  Attributes attributes;
};

// Reads what a piece begins with; false: it is too short.
bool take_status(std::string_view packed, EntryStatus& status);

}  // namespace envd
