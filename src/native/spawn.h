// What other parts need to know about spawns that have not been reported to JavaScript yet.
#pragma once

#include <sys/types.h>

namespace envd {

// Whether `pid` may be a child of a spawn whose result has not been delivered yet, so that only that spawn may
// reap it.
bool may_be_starting(pid_t pid);

}  // namespace envd
