// Names of what is made beside something else, to be put in its place or removed.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

#include <string>

namespace envd {

// A name of random letters, which cannot be guessed and so not taken before. Empty with errno set.
inline std::string temporary_name() {
  uint8_t bytes[12];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return {};
  std::string name = ".envd-";
  for (const uint8_t byte : bytes) {
    char digits[3];
    snprintf(digits, sizeof digits, "%02x", byte);
    name += digits;
  }
  return name + ".tmp";
}

}  // namespace envd
