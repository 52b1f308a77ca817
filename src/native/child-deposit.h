// A new process deposits itself with the keeper (src/keeper/protocol.h) before it runs its program, so that the next
// daemon finds it whenever this one ends: no program runs at any moment that is not deposited.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace envd {

// The child leaves its stack without returning, which would leave the sanitizer's marks behind in memory that is used
// again.
#define IN_CHILD __attribute__((no_sanitize("address", "undefined"), noinline))

inline constexpr size_t keeper_message_bytes = 24;
inline constexpr size_t keeper_descriptors = 8;

struct ChildDeposit {
  // The daemon's end of the socket pair, a descriptor of the spawn's own; -1: nothing is to be deposited.
  int socket = -1;
  // KEEPER_PUT, without the pid.
  alignas(8) unsigned char message[keeper_message_bytes] = {};
  int descriptors[keeper_descriptors] = {};
  size_t count = 0;
  // The place among them that the pidfd is put into.
  size_t pidfd_at = 0;
  // Written by the child into the shared memory: the keeper has it.
  bool done = false;
};

// 0: it is deposited, or cannot be and runs all the same. EPIPE: the daemon has ended, so the program must not run.
int deposit_child(ChildDeposit& deposit, pid_t own);

}  // namespace envd
