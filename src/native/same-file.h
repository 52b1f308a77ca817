// Whether two looks have found the same thing.
#pragma once

#include <sys/stat.h>

namespace envd {

inline bool is_same(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

}  // namespace envd
