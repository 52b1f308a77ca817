#define _GNU_SOURCE
#include "send.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

// Attaches descriptors to a message; `control` has room for them.
static void attach(struct msghdr *header, void *control, const int *descriptors, size_t count) {
  header->msg_control = control;
  header->msg_controllen = CMSG_SPACE(sizeof(int) * count);
  struct cmsghdr *rights = CMSG_FIRSTHDR(header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
  memcpy(CMSG_DATA(rights), descriptors, sizeof(int) * count);
}

bool send_message(const struct daemon *to, struct keeper_message message, const int *descriptors, size_t count) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * KEEPER_DESCRIPTORS)];
  } control = {0};
  struct iovec part = {&message, sizeof message};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) attach(&header, control.bytes, descriptors, count);
  ssize_t sent;
  do sent = sendmsg(to->channel, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS && errno != ETOOMANYREFS && errno != ENOMEM);
}
