// Questions to the filesystems of mount points, each on a thread of its own, as it may never return.
#pragma once

#include <chrono>
#include <cstdint>

namespace envd {

// Asks the filesystem of a mount point by an O_PATH descriptor, which stays the caller's. False: it has not answered
// after so long, of which only a part is waited where several do not, or it cannot be asked.
bool ask_mount(int place, uint64_t device, std::chrono::milliseconds patience);

}  // namespace envd
