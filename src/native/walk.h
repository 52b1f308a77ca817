// From a path to the place that it means, one component after the other, so that every link on the way can be judged,
// and with descriptors in the end, so that nothing is between the judgement and what is done there.
#pragma once

#include <sys/stat.h>

#include <string>

#include "actor.h"
#include "descriptor.h"

namespace envd {

// The calls that a refusal carries in the place of a system call's name: of a link or the daemon's own entries in
// /proc, with EACCES; of a way out of the directory that must not be left, with EXDEV.
inline constexpr char follow_refusal[] = "follow";
inline constexpr char beneath_refusal[] = "beneath";

// A link at the end of a path. `look` keeps it, and has of what is there only what the kernel knows without asking its
// filesystem, which may be a mount that does not answer.
enum class Last { follow, keep, look };

// Where a path leads: act on `name` in `parent`, and never through a link that stands there.
struct Place {
  // An O_PATH descriptor, or AT_FDCWD.
  Descriptor parent;
  std::string name;
  // An O_PATH descriptor of what is there; not valid where nothing is.
  Descriptor entry;
  struct stat status {};

  bool exists() const { return entry.valid(); }
};

// Finds the place of a path for an actor. False: it cannot be found or must not be used, and the job has failed with
// `call` or a refusal. A missing last component is no failure.
bool find_place(ActorJob& job, const std::string& path, Last last, const char* call, Place& place);

// From now on the entries of that process in proc(5) are refused like the daemon's own.
void hide_process(pid_t pid);

// Devices that take everything at once, and keep nothing: null, zero, full (null(4), full(4)).
bool is_sink(const struct stat& status);

// Whether a descriptor is on a filesystem of the kernel's own, which has owners of its own and reports no changes.
bool is_kernel_filesystem(int descriptor);

}  // namespace envd
