// Mount points whose filesystem does not answer, as FUSE or NFS without its server: every call into one waits for ever.
// They are found without one, and so is what the kernel itself knows of them (statx(2) with AT_STATX_DONT_SYNC). Needs
// Linux 5.8, which says what is a mount point; before that nothing is taken for one.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <cstdint>

#include "descriptor.h"

namespace envd {

using Patience = std::chrono::milliseconds;

// How long what walks a tree waits for the filesystem of a mount point before it is left out: more than a network
// filesystem takes that is merely slow.
inline constexpr Patience walk_patience{5000};
// The same for what a list says of one.
inline constexpr Patience list_patience{250};

// Whether the filesystem answers of which an O_PATH descriptor is a mount point; what is none counts as one that does.
// Waits at most so long, and a part of it only where several do not answer. Keeps no descriptor of its caller.
bool answers(int place, Patience patience);

// A filesystem that asks no server, so that AT_STATX_DONT_SYNC makes no difference. Asks the filesystem.
bool is_local(int descriptor);

// A directory whose entries are looked at.
struct Listed {
  int descriptor;
  // `is_local`; false: not known.
  bool local;
};

// lstat(2) of an entry. 0, or the errno: ETIMEDOUT for a mount point whose filesystem does not answer. Of a mount point
// that fails, `status` has what the kernel knows; else st_mode is 0 then.
int status_of_entry(const Listed& directory, const char* name, Patience patience, struct stat& status);

// fstat(2) of an O_PATH descriptor, as far as the kernel knows it without its filesystem. 0, or the errno.
int known_status(int descriptor, struct stat& status);

// openat2(2), with O_CLOEXEC. Not valid with errno set.
Descriptor open_resolved(int directory, const char* path, int flags, uint64_t resolve);

// The same; not valid with errno set: ETIMEDOUT for a mount point at the end of the path whose
// filesystem does not answer; ENOSYS, or EPERM from some filters of system calls, where there is no such call.
Descriptor open_answering(int directory, const char* path, int flags, uint64_t resolve);

// openat(2) of a name in a directory, the same way, also where there is no openat2(2).
Descriptor open_entry(int directory, const char* name, int flags);

}  // namespace envd
