// Time that a thread has spent on a processor: one that hangs in a system call spends none.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>

namespace envd {

// Of a thread of this process, in nanoseconds; 0: there is none.
inline uint64_t spent_time(pid_t thread) {
  // As the kernel makes the clocks of threads (include/linux/posix-timers_types.h): of the scheduler, of one thread.
  const auto clock = static_cast<clockid_t>((~static_cast<unsigned>(thread) << 3) | 4 | 2);
  timespec time{};
  if (clock_gettime(clock, &time) < 0) return 0;
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace envd
