// Walks a tree below an open directory, with one directory open at a time and in bounded memory. No link is followed,
// even if one takes the place of a directory meanwhile.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "actor.h"
#include "below.h"
#include "descriptor.h"
#include "mounts.h"
#include "same-file.h"
#include "tree-task.h"

namespace envd {

// A directory that is being walked.
struct WalkedDirectory {
  // Below the root; empty: itself.
  std::string path;
  struct stat status {};
  // Names of the directories in it that are yet to be walked.
  std::vector<std::string> below;
  // For what the walk adds up.
  uint64_t bytes = 0;
  uint64_t length = 0;
  uint64_t entries = 0;
};

inline std::string path_below(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : directory + "/" + std::string(name);
}

struct TreeWalk : ActorJob {
  std::shared_ptr<TreeTask> task;
  // Directories of other filesystems are passed over.
  bool one_filesystem = false;

 protected:
  // The functions below return 0, or the errno that ends the walk.

  // ECANCELED, ENOBUFS for more names than are kept, ELOOP for a directory in itself (a bind mount), ENAMETOOLONG for
  // one that is too deep, or what one of the others has returned; the task has the path then.
  int walk(Descriptor root);

  // A directory has been opened, before its entries.
  virtual int enter(WalkedDirectory& directory, int descriptor) = 0;
  // An entry that is no directory. `in` is the open directory.
  virtual int visit(WalkedDirectory& directory, int in, const std::string& name, const struct stat& status) = 0;
  // All that is in a directory was visited; `parent` is null for the root.
  virtual int leave(WalkedDirectory& directory, WalkedDirectory* parent) = 0;
  // A directory could not be opened or read (ETIMEDOUT: it is a mount point whose filesystem does not answer): 0 if it
  // is left out.
  virtual int forgive(int error) const = 0;

  // Remembers so many bytes. False: there is no room.
  bool remember(size_t bytes);
  int root() const { return root_.get(); }
  // Of the directory that is being walked, below the root.
  size_t level() const { return open_.size() - 1; }

 private:
  Descriptor root_;
  std::vector<WalkedDirectory> open_;
  size_t remembered_ = 0;

  int descend(std::string path);
  int entries(const Listed& listed);
  int entry(const Listed& listed, const std::string& name, unsigned char type);
};

}  // namespace envd
