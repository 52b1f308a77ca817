// The content of one file into another one.
#pragma once

#include <sys/stat.h>

#include <memory>

#include "tree-task.h"

namespace envd {

// Copies files, and remembers what the filesystems that it has met cannot do.
class ContentCopier {
 public:
  explicit ContentCopier(TreeTask& task) : task_(task) {}

  // Copies a file whose status was read to an empty one: by sharing it where the filesystem can (FICLONE), else in the
  // kernel where it can; holes stay holes. What comes behind its size meanwhile is left. 0, ECANCELED or the errno.
  int copy(int from, int to, const struct stat& status);

 private:
  TreeTask& task_;
  std::unique_ptr<char[]> buffer_;
  // The filesystem, of what was copied last, that cannot share.
  bool refused_sharing_ = false;
  dev_t refused_by_ = 0;
  bool in_kernel_ = true;

  bool share(int from, int to, const struct stat& status);
  int copy_pieces(int from, int to, off_t size);
  // `end` becomes where the file ends, if it does before.
  int copy_range(int from, int to, off_t start, off_t& end);
  ssize_t copy_some(int from, int to, off_t at, size_t bytes);
  ssize_t through_memory(int from, int to, off_t at, size_t bytes);
};

}  // namespace envd
