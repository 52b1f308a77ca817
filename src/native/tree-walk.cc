#include "tree-walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "walk.h"

namespace envd {

namespace {

// Of names and whatever else is remembered, by one task: some 60,000 directories in one.
constexpr size_t max_remembered_bytes = 4 << 20;
// Of a name, beside its bytes.
constexpr size_t name_bytes = 48;
// Levels; archives have no more either.
constexpr size_t max_depth = 500;

}  // namespace

bool TreeWalk::remember(size_t bytes) {
  if (remembered_ + bytes > max_remembered_bytes) return false;
  remembered_ += bytes;
  return true;
}

int TreeWalk::walk(Descriptor root) {
  root_ = std::move(root);
  if (const int refused = descend(""); refused != 0) return refused;
  while (!open_.empty()) {
    if (task->cancelled) return ECANCELED;
    WalkedDirectory& directory = open_.back();
    if (directory.below.empty()) {
      WalkedDirectory* parent = open_.size() > 1 ? &open_[open_.size() - 2] : nullptr;
      if (const int refused = leave(directory, parent); refused != 0) {
        task->blame(directory.path);
        return refused;
      }
      open_.pop_back();
      continue;
    }
    const std::string name = std::move(directory.below.back());
    directory.below.pop_back();
    remembered_ -= name.size() + name_bytes;
    const std::string path = path_below(directory.path, name);
    if (const int refused = descend(path); refused != 0) {
      task->blame(path);
      return refused;
    }
  }
  return 0;
}

int TreeWalk::descend(std::string path) {
  task->look_at(path);
  if (open_.size() == max_depth) return ENAMETOOLONG;
  Descriptor opened = open_below(root_.get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  WalkedDirectory directory;
  if (!opened.valid() || fstat(opened.get(), &directory.status) < 0) {
    const int refused = path.empty() ? errno : forgive(errno);
    if (refused == 0) task->leave_out(path);
    return refused;
  }
  const auto same = [&](const WalkedDirectory& other) { return is_same(other.status, directory.status); };
  if (std::any_of(open_.begin(), open_.end(), same)) return ELOOP;
  if (one_filesystem && !open_.empty() && directory.status.st_dev != open_.front().status.st_dev) return 0;
  directory.path = std::move(path);
  open_.push_back(std::move(directory));
  if (const int refused = enter(open_.back(), opened.get()); refused != 0) return refused;
  // Files that the kernel generates are not part of a tree.
  if (is_kernel_filesystem(opened.get())) return 0;
  const bool local = is_local(opened.get());
  return entries({opened.release(), local});
}

// Closes the descriptor.
int TreeWalk::entries(const Listed& listed) {
  const int descriptor = listed.descriptor;
  DIR* directory = fdopendir(descriptor);
  if (directory == nullptr) {
    const int refused = errno;
    close(descriptor);
    return refused;
  }
  int refused = 0;
  errno = 0;
  const dirent* read = readdir(directory);
  for (; refused == 0 && read != nullptr; read = readdir(directory)) {
    const std::string name = read->d_name;
    if (name != "." && name != "..") refused = entry(listed, name, read->d_type);
    errno = 0;
  }
  if (refused == 0 && errno != 0) {
    refused = forgive(errno);
    if (refused == 0) task->leave_out(open_.back().path);
  }
  closedir(directory);
  return refused;
}

int TreeWalk::entry(const Listed& listed, const std::string& name, unsigned char type) {
  if (task->cancelled) return ECANCELED;
  WalkedDirectory& directory = open_.back();
  if (type != DT_DIR) task->look_at(directory.path, name);
  struct stat status {};
  const int error = type == DT_DIR ? 0 : status_of_entry(listed, name.c_str(), walk_patience, status);
  if (error != 0) {
    const int refused = forgive(error);
    if (refused == 0) task->leave_out(path_below(directory.path, name));
    return refused;
  }
  if (type == DT_DIR || S_ISDIR(status.st_mode)) {
    if (!remember(name.size() + name_bytes)) return ENOBUFS;
    directory.below.push_back(name);
    return 0;
  }
  const int refused = visit(directory, listed.descriptor, name, status);
  if (refused != 0) task->blame(path_below(directory.path, name));
  return refused;
}

}  // namespace envd
