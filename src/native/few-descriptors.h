// The last descriptors are for connections and commands, which could not come otherwise.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>

#include "descriptor.h"

namespace envd {

// Whether only those are left: an eighth of what the limit allows, at most 1,024. What clients can keep open for as
// long as they like, as an upload or download that they do not go on with, is not opened then; it fails with EMFILE.
inline bool few_descriptors() {
  constexpr rlim_t most = 1024;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) return false;
  // The lowest number that is free.
  const Descriptor next(open("/", O_PATH | O_CLOEXEC));
  return next.valid() && static_cast<rlim_t>(next.get()) + std::min(limit.rlim_cur / 8, most) >= limit.rlim_cur;
}

}  // namespace envd
