// envd-keeper PROGRAM ARGUMENT...: the parent of the daemon. Starts it, starts it again when it ends unexpectedly,
// forwards SIGTERM and SIGINT, reaps orphans (as process 1 or as subreaper, prctl(2)), and keeps descriptors that the
// daemon deposits, for the next one. Holds no policy and reads nothing of what it keeps. Never allocates but for its
// table. The protocol is in protocol.h.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "protocol.h"

extern char **environ;

// What the daemon has deposited under one key.
struct entry {
  int32_t pid;
  int32_t status;
  // The daemon's own, without KEEPER_ENDED.
  uint32_t note;
  bool used;
  // The process has ended with `status`, as waitpid(2) has it.
  bool exited;
  // The daemon that runs now has yet to receive the status.
  bool news;
  uint8_t count;
  int descriptors[KEEPER_DESCRIPTORS];
};

enum {
  no_deadline = -1,
  // What an unexpected end costs; each second of life pays one back. Beyond ten seconds of such debt the next start
  // waits, up to five seconds: at once, however often it ends, is started what serves for a moment, and only that.
  ended_cost_ms = 300,
  not_up_cost_ms = 4000,
  free_debt_ms = 10000,
  max_debt_ms = 30000,
  max_pause_ms = 5000,
  cannot_run = 126,
  not_found = 127,
  // Where descriptors that belong to no process go: a socket that has the same number in parent and child looks
  // inherited.
  first_moved = 512,
};

static struct {
  char **command;
  sigset_t original_mask;
  struct rlimit original_files;
  int signals;
  // The daemon, or 0 while none runs; the keeper's end of its socket pair, or -1.
  pid_t daemon;
  int channel;
  int64_t started;
  int64_t debt;
  int64_t start_at;
  int32_t last_status;
  uint32_t starts;
  // Daemons in a row that ended before they listened.
  uint32_t failures;
  // Of this daemon.
  bool up;
  bool leaving;
  // Of all.
  bool was_up;
  bool stopping;
  struct entry *table;
  size_t size;
  // The next entry of a table that is being sent, or `size`.
  size_t taking;
  bool take_end;
  size_t news;
} keeper;

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void complain(const char *what, const char *path) {
  dprintf(STDERR_FILENO, "envd: %s %s: %s\n", what, path, strerror(errno));
}

// The table.

static void close_all(const int *descriptors, size_t count) {
  for (size_t i = 0; i < count; i++) close(descriptors[i]);
}

static void clear_news(struct entry *entry) {
  if (entry->news) keeper.news--;
  entry->news = false;
}

static void drop(uint64_t key) {
  if (key >= keeper.size) return;
  struct entry *entry = &keeper.table[key];
  if (!entry->used) return;
  clear_news(entry);
  close_all(entry->descriptors, entry->count);
  memset(entry, 0, sizeof *entry);
}

// False, with errno set, for a key beyond the limit or without memory.
static bool make_room(uint64_t key) {
  if (key < keeper.size) return true;
  if (key >= KEEPER_KEYS) {
    errno = EINVAL;
    return false;
  }
  size_t size = keeper.size == 0 ? 64 : keeper.size;
  while (size <= key) size *= 2;
  struct entry *table = realloc(keeper.table, size * sizeof *table);
  if (table == NULL) return false;
  memset(table + keeper.size, 0, (size - keeper.size) * sizeof *table);
  if (keeper.taking == keeper.size) keeper.taking = size;
  keeper.table = table;
  keeper.size = size;
  return true;
}

static int moved_up(int descriptor) {
  const int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, first_moved);
  if (moved < 0) return descriptor;
  close(descriptor);
  return moved;
}

// Takes over the descriptors. An end that is known already stays known.
static void put(const struct keeper_message *message, const int *descriptors, size_t count) {
  struct entry *entry = &keeper.table[message->key];
  const struct entry before = *entry;
  const bool same = before.used && before.pid == message->pid;
  memset(entry, 0, sizeof *entry);
  entry->used = true;
  entry->pid = message->pid;
  entry->note = message->value & ~KEEPER_ENDED;
  entry->count = (uint8_t)count;
  for (size_t i = 0; i < count; i++)
    entry->descriptors[i] = message->pid == 0 ? moved_up(descriptors[i]) : descriptors[i];
  if (same) {
    entry->status = before.status;
    entry->exited = before.exited;
    entry->news = before.news;
  } else if (before.news) {
    keeper.news--;
  }
  if (before.used) close_all(before.descriptors, before.count);
}

static void trim(const struct keeper_message *message) {
  if (message->key >= keeper.size || message->status < 0) return;
  struct entry *entry = &keeper.table[message->key];
  if (!entry->used) return;
  entry->note = message->value & ~KEEPER_ENDED;
  while (entry->count > message->status) close(entry->descriptors[--entry->count]);
}

static struct entry *entry_of_process(pid_t pid) {
  for (size_t i = 0; i < keeper.size; i++) {
    struct entry *entry = &keeper.table[i];
    if (entry->used && entry->pid == pid && !entry->exited) return entry;
  }
  return NULL;
}

// The channel to the daemon.

// False: it would wait, and nothing was sent. A daemon that is gone takes everything.
static bool send_message(struct keeper_message message, const int *descriptors, size_t count) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * KEEPER_DESCRIPTORS)];
  } control = {0};
  struct iovec part = {&message, sizeof message};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(rights), descriptors, sizeof(int) * count);
  }
  ssize_t sent;
  do sent = sendmsg(keeper.channel, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS && errno != ETOOMANYREFS && errno != ENOMEM);
}

// Sends what waits to be sent: a table that was asked for, then ends of processes.
static void flush(void) {
  for (; keeper.taking < keeper.size; keeper.taking++) {
    struct entry *entry = &keeper.table[keeper.taking];
    if (!entry->used) continue;
    const struct keeper_message message = {.type = KEEPER_PUT,
                                           .pid = entry->pid,
                                           .key = keeper.taking,
                                           .status = entry->status,
                                           .value = entry->note | (entry->exited ? KEEPER_ENDED : 0)};
    if (!send_message(message, entry->descriptors, entry->count)) return;
    clear_news(entry);
  }
  if (keeper.take_end) {
    const struct keeper_message message = {
        .type = KEEPER_END, .pid = (int32_t)keeper.failures, .key = keeper.starts, .status = keeper.last_status};
    if (!send_message(message, NULL, 0)) return;
    keeper.take_end = false;
  }
  for (size_t i = 0; keeper.news > 0 && i < keeper.size; i++) {
    struct entry *entry = &keeper.table[i];
    if (!entry->news) continue;
    if (!send_message((struct keeper_message){.type = KEEPER_EXITED, .key = i, .status = entry->status}, NULL, 0))
      return;
    clear_news(entry);
  }
}

static void handle(const struct keeper_message *message, const int *descriptors, size_t count) {
  size_t taken = 0;
  switch (message->type) {
    case KEEPER_PUT:
      if (make_room(message->key)) {
        put(message, descriptors, count);
        taken = count;
      } else {
        send_message((struct keeper_message){.type = KEEPER_REFUSED, .key = message->key, .status = errno}, NULL, 0);
      }
      break;
    case KEEPER_DROP:
      drop(message->key);
      break;
    case KEEPER_TRIM:
      trim(message);
      break;
    case KEEPER_EXITED:
      if (message->key < keeper.size && keeper.table[message->key].used) {
        keeper.table[message->key].exited = true;
        keeper.table[message->key].status = message->status;
      }
      break;
    case KEEPER_TAKE:
      keeper.taking = 0;
      keeper.take_end = true;
      break;
    case KEEPER_UP:
      keeper.up = keeper.was_up = true;
      keeper.failures = 0;
      break;
    case KEEPER_LEAVE:
      keeper.leaving = true;
      break;
    default:
      break;
  }
  close_all(descriptors + taken, count - taken);
}

// One message. False: there is none.
static bool receive(void) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * KEEPER_DESCRIPTORS) + CMSG_SPACE(sizeof(struct ucred))];
  } control;
  struct keeper_message message = {0};
  struct iovec part = {&message, sizeof message};
  struct msghdr header = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  const ssize_t length = recvmsg(keeper.channel, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0) return errno == EINTR;
  if (length == 0) return false;
  int descriptors[KEEPER_DESCRIPTORS];
  size_t count = 0;
  bool from_daemon = false;
  for (struct cmsghdr *each = CMSG_FIRSTHDR(&header); each != NULL; each = CMSG_NXTHDR(&header, each)) {
    if (each->cmsg_level != SOL_SOCKET) continue;
    if (each->cmsg_type == SCM_RIGHTS) {
      count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      if (count > KEEPER_DESCRIPTORS) count = KEEPER_DESCRIPTORS;
      memcpy(descriptors, CMSG_DATA(each), count * sizeof(int));
    } else if (each->cmsg_type == SCM_CREDENTIALS) {
      struct ucred sender;
      memcpy(&sender, CMSG_DATA(each), sizeof sender);
      from_daemon = sender.pid == keeper.daemon && sender.uid == getuid();
    }
  }
  // What lost a descriptor on the way is no deposit.
  const bool whole = length == sizeof message && (header.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0;
  if (from_daemon && whole) {
    handle(&message, descriptors, count);
  } else {
    close_all(descriptors, count);
    if (from_daemon)
      send_message((struct keeper_message){.type = KEEPER_REFUSED, .key = message.key, .status = EMFILE}, NULL, 0);
  }
  return true;
}

static void receive_all(void) {
  while (keeper.channel >= 0 && receive()) continue;
}

// The daemon.

// What the keeper has changed for itself goes back to what it was started with.
static void run_command(int channel, pid_t parent) {
  static char variable[sizeof KEEPER_VARIABLE + 16];
  // A keeper that is killed takes the daemon along, as its port must be free for the next one.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(cannot_run);
  fcntl(channel, F_SETFD, 0);
  snprintf(variable, sizeof variable, KEEPER_VARIABLE "=%d", channel);
  putenv(variable);
  setrlimit(RLIMIT_NOFILE, &keeper.original_files);
  sigprocmask(SIG_SETMASK, &keeper.original_mask, NULL);
  execv(keeper.command[0], keeper.command);
  const int status = errno == ENOENT ? not_found : cannot_run;
  complain("cannot execute", keeper.command[0]);
  _exit(status);
}

static bool open_channel(int ends[2]) {
  const int on = 1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return false;
  if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0) return true;
  close_all(ends, 2);
  return false;
}

static void postpone_start(void) {
  const int64_t pause = (keeper.debt - free_debt_ms) / 4;
  keeper.start_at = now_ms() + (pause < 0 ? 0 : pause > max_pause_ms ? max_pause_ms : pause);
}

static void start(void) {
  int ends[2];
  const pid_t own = getpid();
  keeper.start_at = no_deadline;
  if (open_channel(ends)) {
    const pid_t pid = fork();
    if (pid == 0) run_command(ends[1], own);
    if (pid > 0) {
      close(ends[1]);
      keeper.channel = ends[0];
      keeper.daemon = pid;
      keeper.started = now_ms();
      keeper.up = keeper.leaving = keeper.take_end = false;
      keeper.taking = keeper.size;
      keeper.starts++;
      return;
    }
    close_all(ends, 2);
  }
  complain("cannot start", keeper.command[0]);
  keeper.debt = max_debt_ms;
  postpone_start();
}

static void close_channel(void) {
  if (keeper.channel >= 0) close(keeper.channel);
  keeper.channel = -1;
}

// As the daemon did: with its exit code, or by its signal. Process 1 cannot end by one, and has the exit code of a
// shell.
static void end_like(int status) {
  if (!WIFSIGNALED(status)) exit(WEXITSTATUS(status));
  const int number = WTERMSIG(status);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  signal(number, SIG_DFL);
  sigprocmask(SIG_UNBLOCK, &one, NULL);
  kill(getpid(), number);
  exit(128 + number);
}

static void daemon_ended(int status) {
  close_channel();
  keeper.daemon = 0;
  keeper.last_status = status;
  // In order: it said so or was asked to, or it never came to listen and said why.
  if (keeper.leaving || keeper.stopping || (!keeper.was_up && WIFEXITED(status))) end_like(status);
  if (!keeper.up) keeper.failures++;
  const int64_t lived = now_ms() - keeper.started;
  keeper.debt = keeper.debt > lived ? keeper.debt - lived : 0;
  keeper.debt += keeper.up ? ended_cost_ms : not_up_cost_ms;
  if (keeper.debt > max_debt_ms) keeper.debt = max_debt_ms;
  for (size_t i = 0; i < keeper.size; i++) clear_news(&keeper.table[i]);
  postpone_start();
}

// Children of a daemon that has ended are the keeper's, as are orphans.
static void reap(void) {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    // What a daemon has sent last is there by now, and may be the deposit of this very process.
    receive_all();
    if (pid == keeper.daemon) {
      daemon_ended(status);
      continue;
    }
    struct entry *entry = entry_of_process(pid);
    if (entry == NULL) continue;
    entry->exited = true;
    entry->status = status;
    entry->news = true;
    keeper.news++;
  }
}

static void read_signals(void) {
  struct signalfd_siginfo info;
  while (read(keeper.signals, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) continue;
    keeper.stopping = true;
    if (keeper.daemon == 0) exit(0);
    kill(keeper.daemon, (int)info.ssi_signo);
  }
  reap();
}

// Start.

static bool is_false(const char *value) {
  static const char *const words[] = {"0", "f", "F", "false", "FALSE", "False"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcmp(value, words[i]) == 0) return true;
  return false;
}

// Whether -no-keeper is among the words, in a form that the daemon takes for it; the last one counts.
static bool is_switched_off(char **words) {
  static const char name[] = "-no-keeper";
  const size_t length = sizeof name - 1;
  bool off = false;
  for (; *words != NULL; words++) {
    const char *word = *words;
    if (word[0] == '-' && word[1] == '-') word++;
    if (strncmp(word, name, length) != 0 || (word[length] != '\0' && word[length] != '=')) continue;
    off = word[length] == '\0' || !is_false(word + length + 1);
  }
  return off;
}

// Faults keep ending it, and job control keeps stopping it with its daemon. Everything else is taken from the signal
// descriptor, or waits for ever.
static bool set_signals(void) {
  static const int open[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGABRT, SIGTRAP,
                             SIGSYS,  SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT};
  sigset_t blocked;
  sigset_t taken;
  sigfillset(&blocked);
  for (size_t i = 0; i < sizeof open / sizeof *open; i++) sigdelset(&blocked, open[i]);
  sigemptyset(&taken);
  sigaddset(&taken, SIGCHLD);
  sigaddset(&taken, SIGTERM);
  sigaddset(&taken, SIGINT);
  // An ignored SIGCHLD reaps children by itself, and ignored signals are never taken.
  for (int number = 1; number < NSIG; number++)
    if (sigismember(&taken, number) == 1) signal(number, SIG_DFL);
  if (sigprocmask(SIG_SETMASK, &blocked, &keeper.original_mask) < 0) return false;
  keeper.signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
  return keeper.signals >= 0;
}

static bool prepare(char **command) {
  keeper.command = command;
  keeper.channel = -1;
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (getrlimit(RLIMIT_NOFILE, &keeper.original_files) < 0) return false;
  struct rlimit files = keeper.original_files;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  return set_signals();
}

int main(int argc, char **argv) {
  if (argc < 2) {
    dprintf(STDERR_FILENO, "usage: envd-keeper PROGRAM ARGUMENT...\n");
    return 2;
  }
  if (is_switched_off(argv + 1)) {
    unsetenv(KEEPER_VARIABLE);
    execv(argv[1], argv + 1);
    complain("cannot execute", argv[1]);
    return cannot_run;
  }
  if (!prepare(argv + 1)) {
    complain("cannot keep", argv[1]);
    return cannot_run;
  }
  start();
  for (;;) {
    struct pollfd polled[] = {{.fd = keeper.signals, .events = POLLIN}, {.fd = keeper.channel, .events = POLLIN}};
    if (keeper.taking < keeper.size || keeper.take_end || keeper.news > 0) polled[1].events |= POLLOUT;
    int64_t wait = no_deadline;
    if (keeper.start_at != no_deadline) {
      wait = keeper.start_at - now_ms();
      if (wait < 0) wait = 0;
    }
    poll(polled, 2, (int)wait);
    if ((polled[1].revents & POLLIN) != 0) receive_all();
    if ((polled[1].revents & POLLHUP) != 0) {
      // The daemon has closed its end, in general by exiting, which SIGCHLD reports.
      receive_all();
      close_channel();
    } else if ((polled[1].revents & POLLOUT) != 0) {
      flush();
    }
    if ((polled[0].revents & POLLIN) != 0) read_signals();
    if (keeper.daemon == 0 && keeper.start_at != no_deadline && now_ms() >= keeper.start_at) start();
  }
}
