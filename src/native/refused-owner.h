// What it means that an owner could not be set.
#pragma once

#include <errno.h>

namespace envd {

// After a failure of fchown(2) or fchownat(2), its errno: EPERM also where the user namespace has no such id (EINVAL),
// and where a filter of system calls does not know the call (ENOSYS).
inline int refused_owner() { return errno == EINVAL || errno == ENOSYS ? EPERM : errno; }

}  // namespace envd
