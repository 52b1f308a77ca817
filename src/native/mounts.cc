#include "mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <memory>
#include <utility>

#include "probes.h"
#include "version.h"

#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000
#endif

namespace envd {

namespace {

constexpr unsigned long zfs_magic = 0x2fc12fc1;
constexpr unsigned long overlay_magic = 0x794c7630;
constexpr unsigned long xfs_magic = 0x58465342;
constexpr unsigned long f2fs_magic = 0xf2f52010;

bool is_mount_point(const struct statx& known) { return (known.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0; }

struct stat to_stat(const struct statx& known) {
  struct stat status {};
  status.st_dev = device_of(known);
  status.st_ino = known.stx_ino;
  status.st_mode = known.stx_mode;
  status.st_nlink = known.stx_nlink;
  status.st_uid = known.stx_uid;
  status.st_gid = known.stx_gid;
  status.st_rdev = makedev(known.stx_rdev_major, known.stx_rdev_minor);
  status.st_size = static_cast<off_t>(known.stx_size);
  status.st_blksize = static_cast<blksize_t>(known.stx_blksize);
  status.st_blocks = static_cast<blkcnt_t>(known.stx_blocks);
  status.st_atim = {known.stx_atime.tv_sec, known.stx_atime.tv_nsec};
  status.st_mtim = {known.stx_mtime.tv_sec, known.stx_mtime.tv_nsec};
  status.st_ctim = {known.stx_ctime.tv_sec, known.stx_ctime.tv_nsec};
  return status;
}

// statx(2) is missing in old kernels, and some filters of system calls refuse it.
bool is_missing(int error) { return error == ENOSYS || error == EPERM; }

// Not by the C library, which asks in another way where the kernel knows no statx(2), and fails there with EINVAL.
int known_facts(int directory, const char* name, int flags, struct statx& known) {
  const int all_flags = flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  return syscall(SYS_statx, directory, name, all_flags, STATX_BASIC_STATS, &known) < 0 ? errno : 0;
}

// What a walk asks first; a failure is an answer.
void ask_filesystem(int place) {
  struct stat status {};
  if (fstat(place, &status) < 0 || !S_ISDIR(status.st_mode)) return;
  const Descriptor directory(openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
  alignas(dirent64) char entries[4096];
  if (directory.valid()) syscall(SYS_getdents64, directory.get(), entries, sizeof entries);
}

}  // namespace

bool answers(int place, Patience patience) {
  struct statx known {};
  if (known_facts(place, "", AT_EMPTY_PATH, known) != 0 || !is_mount_point(known)) return true;
  const auto own = std::make_shared<Descriptor>(fcntl(place, F_DUPFD_CLOEXEC, 0));
  return own->valid() && ask_within(device_of(known), patience, [own] { ask_filesystem(own->get()); });
}

bool is_local(int descriptor) {
  struct statfs status {};
  if (fstatfs(descriptor, &status) < 0) return false;
  switch (static_cast<unsigned long>(status.f_type)) {
    case EXT4_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case overlay_magic:
    case xfs_magic:
    case f2fs_magic:
    case zfs_magic:
      return true;
    default:
      return false;
  }
}

int status_of_entry(const Listed& directory, const char* name, Patience patience, struct stat& status) {
  status = {};
  struct statx known {};
  const int error = known_facts(directory.descriptor, name, 0, known);
  if (error != 0 && !is_missing(error)) return error;
  const bool mount_point = error == 0 && is_mount_point(known);
  if (error == 0 && (directory.local || mount_point)) status = to_stat(known);
  if (error == 0 && directory.local && !mount_point) return 0;
  if (mount_point) {
    const Descriptor place(openat(directory.descriptor, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (place.valid() && !answers(place.get(), patience)) return ETIMEDOUT;
  }
  return fstatat(directory.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ? errno : 0;
}

int known_status(int descriptor, struct stat& status) {
  struct statx known {};
  const int error = known_facts(descriptor, "", AT_EMPTY_PATH, known);
  if (is_missing(error)) return fstat(descriptor, &status) < 0 ? errno : 0;
  if (error == 0) status = to_stat(known);
  return error;
}

Descriptor open_resolved(int directory, const char* path, int flags, uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = resolve;
  return Descriptor(static_cast<int>(syscall(SYS_openat2, directory, path, &how, sizeof how)));
}

Descriptor open_answering(int directory, const char* path, int flags, uint64_t resolve) {
  Descriptor found = open_resolved(directory, path, flags, resolve | RESOLVE_NO_XDEV);
  if (found.valid() || errno != EXDEV) return found;
  // A mount point is at the end of the path, or on its way.
  Descriptor place = open_resolved(directory, path, O_PATH | (flags & (O_DIRECTORY | O_NOFOLLOW)), resolve);
  if (!place.valid()) return place;
  if (!answers(place.get(), walk_patience)) {
    errno = ETIMEDOUT;
    return Descriptor();
  }
  if ((flags & O_PATH) != 0) return place;
  // What was asked, even if something else is at the path by now.
  const bool is_directory = (flags & O_DIRECTORY) != 0;
  return is_directory ? open_resolved(place.get(), ".", flags, 0) : open_resolved(directory, path, flags, resolve);
}

Descriptor open_entry(int directory, const char* name, int flags) {
  Descriptor found = open_answering(directory, name, flags, 0);
  const bool unknown = !found.valid() && is_missing(errno);
  return unknown ? Descriptor(openat(directory, name, flags | O_CLOEXEC)) : std::move(found);
}

}  // namespace envd
