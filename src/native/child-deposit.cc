// Runs in the child as child.cc does: the same rules hold.
#include "child-deposit.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <ctime>

namespace envd {

namespace {

constexpr size_t pid_at = 4;

// A keeper that takes no message for so long is stopped: the command is not held up any longer.
constexpr time_t wait_seconds = 2;

struct Control {
  alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(int) * keeper_descriptors)];
};

// 0 or an errno.
IN_CHILD int send(const ChildDeposit& deposit, msghdr& header) {
  for (;;) {
    if (syscall(SYS_sendmsg, deposit.socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return errno;
    pollfd polled{deposit.socket, POLLOUT, 0};
    timespec limit{wait_seconds, 0};
    if (syscall(SYS_ppoll, &polled, 1, &limit, nullptr, sizeof(uint64_t)) <= 0) return EAGAIN;
  }
}

IN_CHILD bool is_over(int error) {
  return error == EPIPE || error == ECONNRESET || error == ENOTCONN || error == ECONNREFUSED;
}

}  // namespace

IN_CHILD int deposit_child(ChildDeposit& deposit, pid_t own) {
  if (deposit.socket < 0) return 0;
  const long pidfd = syscall(SYS_pidfd_open, own, 0);
  if (pidfd < 0) return 0;
  *reinterpret_cast<int32_t*>(deposit.message + pid_at) = own;
  deposit.descriptors[deposit.pidfd_at] = static_cast<int>(pidfd);
  Control control{};
  iovec part{deposit.message, keeper_message_bytes};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes;
  header.msg_controllen = CMSG_SPACE(sizeof(int) * deposit.count);
  auto* rights = reinterpret_cast<cmsghdr*>(control.bytes);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int) * deposit.count);
  auto* places = reinterpret_cast<int*>(CMSG_DATA(rights));
  for (size_t i = 0; i < deposit.count; i++) places[i] = deposit.descriptors[i];
  const int error = send(deposit, header);
  syscall(SYS_close, pidfd);
  deposit.done = error == 0;
  return is_over(error) ? EPIPE : 0;
}

}  // namespace envd
