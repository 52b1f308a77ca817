// A tree as the bytes of a tar archive, in pieces of work.
#pragma once

#include <string>
#include <string_view>

#include "archive-entries.h"
#include "descriptor.h"
#include "pieces.h"

namespace envd {

struct DirectoriesOptions {
  int root;
  // Of the names in one directory.
  size_t names_limit;
  EntriesOptions entries;
};

// Archives a directory below the root, by its path and with what is before the names in it, and then those below it,
// each before those in it, until there is room for no more. 0, or the errno for that directory: EOVERFLOW for more
// names.
int archive_directories(const DirectoriesOptions& options, std::string path, std::string leading, Pieces& pieces);

}  // namespace envd
