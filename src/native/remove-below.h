// Deletes what is in an open directory, with everything below it.
#pragma once

#include <atomic>

namespace envd {

// The first call that failed and its errno; 0: none did.
struct Removal {
  const char* call = "";
  int error = 0;
};

// Never through a link; what is not there is no failure. Goes on after one, until it is `left` (ECANCELED).
Removal remove_below(int directory, const char* name, const std::atomic<bool>& left);

// The same for what is open (O_PATH will do), which had that name: its contents wherever it is by now, and the name
// only if it is still its (ESTALE). For what the daemon has made or taken out itself: the owner of the directory can
// give the name to a tree of another user, which they could not delete themselves. A file or an empty directory they
// could.
Removal remove_opened(int opened, int directory, const char* name, const std::atomic<bool>& left);

}  // namespace envd
