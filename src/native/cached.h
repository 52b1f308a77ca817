// Answers that the kernel has in its caches, so that they can be had on the event loop: what could wait for a disk or a
// network is left to the thread pool.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

namespace envd {

// Remembers that the file of an open descriptor had no attributes whose names begin with `prefix`, if its filesystem is
// one of this machine and any change would show in `status`, which was read before the attributes. For any thread.
void remember_without_attributes(int descriptor, const struct stat& status, std::string_view prefix);

}  // namespace envd
