// Copies single entries, with or without their owners and attributes.
#pragma once

#include <sys/stat.h>

#include <string>
#include <utility>

#include "actor.h"
#include "copy-content.h"

namespace envd {

// Who owns the copies.
struct CopyOwner {
  const Actor& actor;
  // Owners, all bits of the mode and all attributes are kept; else it is the actor's, with permissions up to 0777 and
  // the attributes that any user may set.
  bool keep_owners;
};

class EntryCopier {
 public:
  EntryCopier(TreeTask& task, CopyOwner owner) : task_(task), owner_(owner), content_(task) {}

  // Copies a file or link that stands in one open directory as another name into another one, and counts it. 0,
  // ENXIO for what is neither, or the errno; nothing of that name is left then.
  int copy(int in, const std::string& name, const struct stat& status, int into, const std::string& made);
  // Gives a copied directory or file the owner, attributes, permissions and times of its original. 0, or the errno.
  int settle(int from, int to, const struct stat& status) const;
  // What is settled next replaces an entry with this status, and gets its owner; null: it replaces nothing.
  void replaces(const struct stat* before) { before_ = before; }

 private:
  TreeTask& task_;
  CopyOwner owner_;
  ContentCopier content_;
  const struct stat* before_ = nullptr;

  int copy_file(int in, const std::string& name, int into, const std::string& made);
  int copy_link(int in, const std::string& name, int into, const std::string& made);
  bool is_given() const { return !owner_.actor.own_rights; }
  std::pair<uid_t, gid_t> owner_of(const struct stat& status) const;
};

}  // namespace envd
