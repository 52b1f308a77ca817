// The entries of a directory as the bytes of a tar archive.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "descriptor.h"
#include "pieces.h"
#include "tar-header.h"

namespace envd {

// Appends the names in a directory in byte order, each with its length before it, and before the name 'd' for a
// directory, 'f' for a file, 'o' for anything else or what is not known; none for a filesystem of the kernel's own. 0,
// or the errno: EOVERFLOW for more than `limit` bytes.
int list_directory(Descriptor directory, size_t limit, std::string& out);

struct EntriesOptions {
  OwnerNames owners;
  // Times lose their fractions.
  bool whole_seconds;
};

// A directory that is read.
struct ReadDirectory {
  int descriptor;
  // Below the root; empty: itself.
  std::string_view path;
  // Before every name in the archive.
  std::string_view leading;
};

// Appends the entries of these names, at least one, until there is room for no more. `found` gets the names of the
// directories whose headers were written. The bytes of `names` that were used.
size_t archive_entries(const EntriesOptions& options, const ReadDirectory& directory, std::string_view names,
                       std::vector<std::string>& found, Pieces& pieces);

// The facts of an entry that is left to the caller.
struct EntryStatus {
  struct stat status {};
  Attributes attributes;
};

// Reads what a piece begins with; false: it is too short.
bool take_status(std::string_view packed, EntryStatus& status);

}  // namespace envd
