// Extended attributes (xattr(7)) of an open file, or of a path.
#pragma once

#include <sys/xattr.h>

#include <string>
#include <string_view>
#include <vector>

#include "job.h"

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

// The end of a file that was written: its attributes are replaced and it is closed.
struct Finish {
  int descriptor = -1;
  // Its attributes stay as they are.
  bool keep_attributes = false;
  // It is written to the disk, and stays open.
  bool sync = false;
  // Its time of modification is set, with a clock fine enough that no two writes have the same time.
  bool stamp = false;
  std::string prefix;
  // Name and value in turn, names without the prefix.
  std::vector<std::string> pairs;

  // Appends the file's state and attributes to the job's result. A failure is the job's; the file is closed then, too.
  void run(Job& job) const;

 private:
  bool is_wanted(const std::string& name) const;
  void set_time() const;
  void put_state(Job& job, std::string& out, bool unsupported) const;
  void replace(Job& job, std::string& attributes) const;
};

// Appends a count, then names (without their prefix) and values; those that vanish meanwhile are left out. False with
// errno set where there are none to be had; the count is 0 then.
bool put_attributes(std::string& out, const Subject& subject, std::string_view prefix);

// Copies the attributes of an open file whose names begin with a prefix to another one; those that it does not take are
// left out. 0, or the errno.
int copy_attributes(int from, int to, std::string_view prefix);

}  // namespace envd
