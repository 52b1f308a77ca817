// Fuzzes the keeper: a daemon, and one that waits, that send what they like and end as they like. The code is the
// keeper's; only what would start, signal and end processes is taken from it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static jmp_buf over;
static pid_t ended_pid;
static int ended_status;

static _Noreturn void leave(int status) { longjmp(over, status + 1); }

static int no_signal(pid_t pid, int number) { return pid > 0 && number > 0 ? 0 : -1; }

// One process has ended, once.
static pid_t next_ended(pid_t which, int *status, int options) {
  (void)which, (void)options;
  const pid_t pid = ended_pid;
  *status = ended_status;
  ended_pid = 0;
  return pid;
}

#define main keeper_main
#define exit leave
#define kill no_signal
#define waitpid next_ended
// libFuzzer has its own handlers: without that of SIGALRM it would end.
#define signal(number, handler) ((void)(number))
#include "../../../src/keeper/keeper.c"
#include "../../../src/keeper/send.c"
#undef main
#undef exit
#undef kill
#undef waitpid
#undef signal

enum {
  // Descriptors that are looked at: the keeper moves some to 512 and above.
  looked_at = 1400,
  most_steps = 64,
};

// Every daemon is this process, so that the kernel's word for the sender is true.
static int their_end[2] = {-1, -1};
static bool refuse_launch;

bool widen_stack(void) { return true; }

void complain(const char *what, const char *path) { (void)what, (void)path; }

void close_channel(struct daemon *daemon) {
  if (daemon->channel >= 0) close(daemon->channel);
  daemon->channel = -1;
}

bool is_kept(void) { return false; }

bool take_command(struct origin *origin, char **words) {
  origin->command = words;
  return false;
}

void hide_words(char **words) { (void)words; }

static void check(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "keeper: %s\n", what);
  abort();
}

bool launch(const struct origin *origin, const struct program *program, bool group, struct daemon *daemon) {
  int ends[2];
  const int on = 1;
  if (refuse_launch) return false;
  // What launch.c relies on.
  check(memchr(program->path, 0, sizeof program->path) != NULL, "a path without an end");
  check(program->path[0] == '\0' || program->words < origin->words, "more words than there are");
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return false;
  setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  const int which = daemon == &keeper.next;
  check(group == (which == 1), "a process group of its own for another than the one that waits");
  if (their_end[which] >= 0) close(their_end[which]);
  their_end[which] = ends[1];
  *daemon = (struct daemon){.pid = getpid(), .channel = ends[0]};
  return true;
}

static int open_descriptors(void) {
  static struct pollfd all[looked_at];
  for (int i = 0; i < looked_at; i++) all[i] = (struct pollfd){.fd = i};
  poll(all, looked_at, 0);
  int count = 0;
  for (int i = 0; i < looked_at; i++) count += (all[i].revents & POLLNVAL) == 0;
  return count;
}

static void check_table(void) {
  size_t news = 0;
  for (size_t i = 0; i < table.size; i++) {
    const struct entry *entry = &table.entries[i];
    check(entry->used || (entry->count == 0 && !entry->news), "an entry that is not used holds something");
    news += entry->news;
    for (size_t d = 0; d < entry->count; d++)
      check(fcntl(entry->descriptors[d], F_GETFD) >= 0, "a descriptor that is kept is closed");
  }
  check(news == table.news, "the count of news is wrong");
}

struct input {
  const uint8_t *at;
  size_t left;
};

static uint32_t take(struct input *from, size_t bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < bytes && from->left > 0; i++, from->at++, from->left--) value = value << 8 | *from->at;
  return value;
}

// A message with descriptors and text, of any length, which the protocol may not know.
static void send_any(int socket, struct input *from) {
  static char bytes[sizeof(struct keeper_message) + PATH_MAX + 16];
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * 16)];
  } control = {0};
  const uint32_t shape = take(from, 1);
  struct keeper_message message = {.type = take(from, 1), .status = (int32_t)take(from, 1) - 8, .value = take(from, 1)};
  message.key = (shape & 1) != 0 ? take(from, 4) : take(from, 1);
  message.pid = (shape & 2) != 0 ? getpid() : (int32_t)take(from, 1);
  if ((shape & 4) != 0) message.value |= KEEPER_ENDED;
  memcpy(bytes, &message, sizeof message);
  size_t length = sizeof message;
  if ((shape & 8) != 0) length = take(from, 2) % sizeof bytes;
  else if ((shape & 16) != 0) length += take(from, 1);
  for (size_t i = sizeof message; i < length; i++) bytes[i] = (char)('a' + i % 26);
  if ((shape & 32) != 0 && length > 0) bytes[length - 1] = '\0';
  struct iovec part = {bytes, length};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  const size_t count = (shape & 64) != 0 ? take(from, 1) % 13 : 0;
  const int descriptors[16] = {0};
  if (count > 0) attach(&header, control.bytes, descriptors, count);
  sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// The daemon reads, or leaves it.
static void receive_any(int socket) {
  struct keeper_message message;
  while (recv(socket, &message, sizeof message, MSG_DONTWAIT) > 0) continue;
}

static void step(struct input *from) {
  const uint32_t what = take(from, 1);
  const int socket = their_end[what >> 7];
  switch (what & 7) {
    case 0:
      // The daemon ends, or the one that waits: the same process, so the keeper takes it for the daemon.
      ended_pid = what & 64 ? (pid_t)take(from, 1) : getpid();
      ended_status = (int)take(from, 2);
      reap();
      if (keeper.daemon.pid == 0 && (what & 32) != 0) start();
      break;
    case 1:
      if (socket >= 0) receive_any(socket);
      break;
    case 2:
      if (socket >= 0) close(socket);
      if (socket >= 0) their_end[what >> 7] = -1;
      break;
    case 3:
      refuse_launch = (what & 64) != 0;
      break;
    default:
      if (socket >= 0) send_any(socket, from);
  }
  serve(&keeper.daemon, POLLIN | POLLOUT);
  serve(&keeper.next, POLLIN);
  check_table();
}

static void clear(void) {
  for (size_t i = 0; i < table.size; i++) table_drop(i);
  free(table.entries);
  table = (struct table){0};
  close_channel(&keeper.daemon);
  close_channel(&keeper.next);
  for (int i = 0; i < 2; i++) {
    if (their_end[i] >= 0) close(their_end[i]);
    their_end[i] = -1;
  }
  memset(&keeper, 0, sizeof keeper);
  keeper.daemon.channel = keeper.next.channel = -1;
  refuse_launch = false;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  keeper.daemon.channel = keeper.next.channel = -1;
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char *words[] = {"program", "one", "two", NULL};
  // Each time: what prints what was reached opens some as well.
  const int before = open_descriptors();
  keeper.origin.command = words;
  keeper.origin.words = 3;
  struct input input = {data, size};
  if (setjmp(over) == 0) {
    start();
    for (int steps = 0; input.left > 0 && steps < most_steps; steps++) step(&input);
  }
  clear();
  check(open_descriptors() == before, "descriptors are left open");
  return 0;
}
