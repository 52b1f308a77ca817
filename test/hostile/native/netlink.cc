// Fuzzes the reading of the kernel's answers about listening sockets (netlink(7)): whole, cut and contradictory ones.
#include <stddef.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "../../../src/native/listening.cc"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t most = 32 * 1024, packed_bytes = 28;
  if (size > most) return 0;
  // Of the very size, so that the sanitizer sees each byte too many.
  const size_t aligned = size / alignof(nlmsghdr) * alignof(nlmsghdr);
  auto* const start = static_cast<char*>(std::malloc(std::max<size_t>(aligned, 1)));
  const std::unique_ptr<char, decltype(&std::free)> buffer(start, std::free);
  std::memcpy(buffer.get(), data, aligned);
  envd::ListeningSockets sockets;
  sockets.limit = 100;
  sockets.take(buffer.get(), aligned);
  if (sockets.found > sockets.limit) std::abort();
  if (sockets.result.size() != static_cast<size_t>(sockets.found) * packed_bytes) std::abort();
  return 0;
}
