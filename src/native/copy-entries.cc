#include "copy-entries.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "attributes.h"
#include "descriptor.h"
#include "made.h"
#include "refused-owner.h"

namespace envd {

namespace {

constexpr int read_flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
constexpr int make_flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC;
// What is not complete is closed to other users.
constexpr mode_t private_mode = 0600;

}  // namespace

int EntryCopier::copy(int in, const std::string& name, const struct stat& status, int into, const std::string& made) {
  if (S_ISLNK(status.st_mode)) return copy_link(in, name, into, made);
  // Opening a device may have effects of its own.
  return S_ISREG(status.st_mode) ? copy_file(in, name, into, made) : ENXIO;
}

int EntryCopier::copy_file(int in, const std::string& name, int into, const std::string& made) {
  const Descriptor from(openat(in, name.c_str(), read_flags));
  struct stat status {};
  if (!from.valid() || fstat(from.get(), &status) < 0) return errno == ELOOP ? ENOENT : errno;
  if (!S_ISREG(status.st_mode)) return ENXIO;
  Descriptor to(openat(into, made.c_str(), make_flags, private_mode));
  if (!to.valid()) return errno;
  int refused = content_.copy(from.get(), to.get(), status);
  if (refused == 0) refused = settle(from.get(), to.get(), status);
  // NFS reports a full disk here.
  if (close(to.release()) < 0 && refused == 0) refused = errno;
  if (refused == 0) task_.files++;
  else unlinkat(into, made.c_str(), 0);
  return refused;
}

int EntryCopier::copy_link(int in, const std::string& name, int into, const std::string& made) {
  LinkFacts from;
  if (const int refused = read_link(in, name, from); refused != 0) return refused == EINVAL ? ENOENT : refused;
  // Root's links are followed for all users: a copy of another user's link must not be root's, whatever it replaces.
  const bool kept = owner_.keep_owners || owner_.actor.uid == 0;
  const uid_t uid = kept ? from.status.st_uid : owner_.actor.uid;
  const gid_t gid = kept ? from.status.st_gid : owner_.actor.gid;
  const timespec times[2] = {from.status.st_atim, from.status.st_mtim};
  const Refused refused = make_link(from.target, into, made, {is_given(), uid, gid}, times);
  if (refused.error == 0) task_.links++;
  return refused.error;
}

// Owner first: changing it clears bits of the mode and capabilities. Times last.
int EntryCopier::settle(int from, int to, const struct stat& status) const {
  const auto [uid, gid] = owner_of(status);
  if (is_given() && fchown(to, uid, gid) < 0 && uid != geteuid()) return refused_owner();
  const int refused = from < 0 ? 0 : copy_attributes(from, to, owner_.keep_owners ? "" : "user.");
  if (refused != 0) return refused;
  if (fchmod(to, status.st_mode & (owner_.keep_owners ? 07777 : 0777)) < 0) return errno;
  const timespec times[2] = {status.st_atim, status.st_mtim};
  return futimens(to, times) < 0 ? errno : 0;
}

std::pair<uid_t, gid_t> EntryCopier::owner_of(const struct stat& status) const {
  if (owner_.keep_owners) return {status.st_uid, status.st_gid};
  if (before_ != nullptr) return {before_->st_uid, before_->st_gid};
  return {owner_.actor.uid, owner_.actor.gid};
}

}  // namespace envd
