// Extended attributes (xattr(7)) of an open file, or of a path.
#pragma once

#include <sys/xattr.h>

#include <string>
#include <string_view>

namespace envd {

// A file whose attributes are asked for: an open one, or a path whose links are followed.
struct Subject {
  int descriptor;
  const char* path;

  ssize_t list(char* buffer, size_t size) const {
    return path == nullptr ? flistxattr(descriptor, buffer, size) : listxattr(path, buffer, size);
  }
  ssize_t get(const char* name, char* buffer, size_t size) const {
    return path == nullptr ? fgetxattr(descriptor, name, buffer, size) : getxattr(path, name, buffer, size);
  }
};

// Appends a count, then names (without their prefix) and values; those that vanish meanwhile are left out. False with
// errno set where there are none to be had; the count is 0 then.
bool put_attributes(std::string& out, const Subject& subject, std::string_view prefix);

}  // namespace envd
