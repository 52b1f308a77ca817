// Deletes a name in an open directory with everything below it.
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

}  // namespace envd
