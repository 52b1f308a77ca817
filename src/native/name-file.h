// Files that get their name when they are whole, so that neither a client nor a daemon that ends leaves a part of one.
#pragma once

#include <sys/types.h>

#include <string>

#include "actor.h"
#include "descriptor.h"

namespace envd {

// A file without a name in a directory (O_TMPFILE). Not valid, with errno set: also where the filesystem has none such.
Descriptor open_unnamed(int directory, mode_t mode);

// Whether errno says that a filesystem has no files without a name.
bool has_no_unnamed(int number);

// Gives the file that name, at which nothing must be, and opens it by it: what is changed through this descriptor is
// reported to watchers of the directory under the name; its owner and content are reported at once. The caller
// closes `file`. Not valid, with errno set: EEXIST where something is.
Descriptor name_file(int file, int directory, const std::string& name, const Actor& actor);

}  // namespace envd
