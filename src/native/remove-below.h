// Deletes a name in an open directory with everything below it.
#pragma once

namespace envd {

// The first call that failed and its errno; 0: none did.
struct Removal {
  const char* call = "";
  int error = 0;
};

// Never through a link; what is not there is no failure. Goes on after one.
Removal remove_below(int directory, const char* name);

}  // namespace envd
