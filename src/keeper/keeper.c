// envd-keeper PROGRAM ARGUMENT...: the parent of the daemon. Starts it, starts it again when it ends unexpectedly,
// forwards SIGTERM and SIGINT, reaps orphans (as process 1 or as subreaper, prctl(2)), and keeps descriptors that the
// daemon deposits, for the next one. Holds no policy and reads nothing of what it keeps. Allocates for its table and,
// once, for its words. The protocol is in protocol.h.
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
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

#include "launch.h"
#include "protocol.h"
#include "send.h"
#include "table.h"

enum {
  no_deadline = -1,
  // What an unexpected end costs; each second of life pays one back. Beyond ten seconds of such debt the next start
  // waits, up to five seconds: at once, however often it ends, is started what serves for a moment, and only that.
  ended_cost_ms = 300,
  killed_cost_ms = 500,
  not_up_cost_ms = 4000,
  free_debt_ms = 10000,
  max_debt_ms = 30000,
  max_pause_ms = 5000,
  kills_of_failure = 10,
  // What a daemon that was started in the place of another has to come to listen in, and before that to load, if the
  // other one has ended meanwhile.
  trial_ms = 5000,
  load_ms = 15000,
  // What a signal to stop waits for a daemon that listens, if there was one: only that ends what is to end with it.
  stop_ms = 5000,
};

static struct {
  struct origin origin;
  int signals;
  struct daemon daemon;
  // Waits for the end of the daemon.
  struct daemon next;
  bool next_asked;
  // The one in use, and that of `next` or of a trial.
  struct program program;
  struct program other;
  bool on_trial;
  bool went_back;
  int64_t trial_end;
  int64_t started;
  int64_t debt;
  int64_t start_at;
  int32_t last_status;
  uint32_t starts;
  // Daemons in a row that ended before they listened; of those that SIGKILL ended every tenth counts.
  uint32_t failures;
  uint32_t kills;
  // Of this daemon.
  bool up;
  bool leaving;
  // Of all.
  bool was_up;
  // The signal to stop that has come, or 0; no daemon is started any more after `stop_end`.
  int stop;
  int64_t stop_end;
  // The daemon that runs now has yet to receive it.
  bool stop_held;
  // The next entry of the table that is being sent.
  size_t taking;
  bool taking_now;
} keeper;

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// The channel to the daemon.

// Sends what waits to be sent: the table, if it was asked for, then ends of processes.
static void flush(void) {
  for (; keeper.taking_now && keeper.taking < table.size; keeper.taking++) {
    struct entry *entry = table_entry(keeper.taking);
    if (entry == NULL) continue;
    const struct keeper_message message = {.type = KEEPER_PUT,
                                           .pid = entry->pid,
                                           .key = keeper.taking,
                                           .status = entry->status,
                                           .value = entry->note | (entry->exited ? KEEPER_ENDED : 0)};
    if (!send_message(&keeper.daemon, message, entry->descriptors, entry->count)) return;
    table_clear_news(entry);
  }
  if (keeper.taking_now) {
    const struct keeper_message message = {
        .type = KEEPER_END,
        .pid = (int32_t)keeper.failures,
        .key = keeper.starts,
        .status = keeper.last_status,
        .value = KEEPER_HEARS_CHILDREN | (keeper.on_trial ? KEEPER_TRIAL : 0) |
                 (keeper.went_back ? KEEPER_WENT_BACK : 0)};
    if (!send_message(&keeper.daemon, message, NULL, 0)) return;
    keeper.taking_now = false;
  }
  for (size_t i = 0; table.news > 0 && i < table.size; i++) {
    struct entry *entry = &table.entries[i];
    if (!entry->news) continue;
    const struct keeper_message message = {.type = KEEPER_EXITED, .key = i, .status = entry->status};
    if (!send_message(&keeper.daemon, message, NULL, 0)) return;
    table_clear_news(entry);
  }
}

static void refuse(const struct keeper_message *message, int why) {
  send_message(&keeper.daemon, (struct keeper_message){.type = KEEPER_REFUSED, .key = message->key, .status = why},
               NULL, 0);
}

// Sends the table from its beginning.
static void begin_taking(void) {
  keeper.taking = 0;
  keeper.taking_now = true;
}

// Ends one that waits or is on trial, with what it has started in its process group. What is in sessions of its own, as
// commands are, goes on.
static void end_group(pid_t pid) {
  kill(-pid, SIGKILL);
  kill(pid, SIGKILL);
}

static void start_next(const char *path, uint32_t words);
static void deliver_stop(void);

static void handle(const struct keeper_message *message, const char *path, const int *descriptors, size_t count) {
  size_t taken = 0;
  struct entry *entry;
  switch (message->type) {
    case KEEPER_PUT:
      if (table_make_room(message->key, descriptors, count)) {
        table_put(message, descriptors, count);
        taken = count;
      } else {
        refuse(message, errno);
      }
      break;
    case KEEPER_DROP:
      table_drop(message->key);
      break;
    case KEEPER_TRIM:
      table_trim(message);
      break;
    case KEEPER_EXITED:
      if ((entry = table_entry(message->key)) == NULL) break;
      entry->exited = true;
      entry->status = message->status;
      break;
    case KEEPER_TAKE:
      if (keeper.on_trial && !keeper.next_asked) keeper.trial_end = now_ms() + trial_ms;
      keeper.next_asked = true;
      begin_taking();
      break;
    case KEEPER_UP:
      keeper.up = keeper.was_up = true;
      keeper.failures = keeper.kills = 0;
      if (keeper.on_trial) keeper.program = keeper.other;
      keeper.on_trial = false;
      deliver_stop();
      break;
    case KEEPER_LEAVE:
      keeper.leaving = true;
      break;
    case KEEPER_NEXT:
      start_next(path, message->value);
      break;
    case KEEPER_CANCEL:
      if (keeper.next.pid != 0) end_group(keeper.next.pid);
      break;
    default:
      break;
  }
  close_all(descriptors + taken, count - taken);
}

// What the one that waits has to say before it is the daemon: that it waits.
static void handle_next(const struct keeper_message *message) {
  if (message->type != KEEPER_TAKE || keeper.next_asked) return;
  keeper.next_asked = true;
  send_message(&keeper.daemon, (struct keeper_message){.type = KEEPER_READY}, NULL, 0);
}

// One message. False: there is none.
static bool receive(const struct daemon *from) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * KEEPER_DESCRIPTORS) + CMSG_SPACE(sizeof(struct ucred))];
  } control;
  static struct {
    struct keeper_message message;
    char path[PATH_MAX];
  } packet;
  memset(&packet.message, 0, sizeof packet.message);
  struct iovec part = {&packet, sizeof packet};
  struct msghdr header = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  const ssize_t length = recvmsg(from->channel, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0) return errno == EINTR;
  int descriptors[KEEPER_DESCRIPTORS];
  size_t count = 0;
  pid_t sender = 0;
  for (struct cmsghdr *each = CMSG_FIRSTHDR(&header); each != NULL; each = CMSG_NXTHDR(&header, each)) {
    if (each->cmsg_level != SOL_SOCKET) continue;
    if (each->cmsg_type == SCM_RIGHTS) {
      count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      if (count > KEEPER_DESCRIPTORS) count = KEEPER_DESCRIPTORS;
      memcpy(descriptors, CMSG_DATA(each), count * sizeof(int));
    } else if (each->cmsg_type == SCM_CREDENTIALS) {
      struct ucred credentials;
      memcpy(&credentials, CMSG_DATA(each), sizeof credentials);
      if (credentials.uid == getuid()) sender = credentials.pid;
    }
  }
  // What lost a descriptor on the way is no deposit, and what is no text no path.
  bool whole = (header.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0 && length >= (ssize_t)sizeof packet.message;
  const size_t text = whole ? (size_t)length - sizeof packet.message : 0;
  if (text == 0) packet.path[0] = '\0';
  else if (packet.path[text - 1] != '\0') whole = false;
  const bool known = sender != 0 && sender == from->pid;
  // A new process deposits itself before it runs its program. Only the daemon and what it is about to start have its
  // end of the channel.
  const bool new_process = sender != 0 && packet.message.type == KEEPER_PUT && packet.message.pid == sender;
  const bool heard = known || new_process;
  if (heard && whole && from == &keeper.daemon) {
    handle(&packet.message, packet.path, descriptors, count);
    return true;
  }
  close_all(descriptors, count);
  if (known && whole) handle_next(&packet.message);
  else if (heard && from == &keeper.daemon) refuse(&packet.message, EMFILE);
  // The end of the channel has no sender; a packet without a byte has one, and may have descriptors.
  return length > 0 || sender != 0;
}

static void receive_all(const struct daemon *from) {
  while (from->channel >= 0 && receive(from)) continue;
}

// The daemon.

static void postpone_start(void) {
  const int64_t pause = (keeper.debt - free_debt_ms) / 4;
  keeper.start_at = now_ms() + (pause < 0 ? 0 : pause > max_pause_ms ? max_pause_ms : pause);
}

static void started(void) {
  keeper.started = now_ms();
  keeper.start_at = no_deadline;
  keeper.up = keeper.leaving = keeper.taking_now = false;
  keeper.starts++;
}

static void start(void) {
  if (launch(&keeper.origin, &keeper.program, false, &keeper.daemon)) {
    started();
    return;
  }
  complain("cannot start", keeper.origin.command[0]);
  keeper.debt = max_debt_ms;
  postpone_start();
}

static void report_cancelled(int status) {
  send_message(&keeper.daemon, (struct keeper_message){.type = KEEPER_CANCEL, .status = status}, NULL, 0);
}

// One waits at most: a second one is refused, as is one beside a trial.
static void start_next(const char *path, uint32_t words) {
  if (keeper.next.pid != 0 || keeper.on_trial || words >= keeper.origin.words) {
    report_cancelled(-1);
    return;
  }
  keeper.other = keeper.program;
  if (path[0] != '\0') {
    strcpy(keeper.other.path, path);
    keeper.other.words = words;
  }
  keeper.next_asked = false;
  if (!launch(&keeper.origin, &keeper.other, true, &keeper.next)) report_cancelled(-1);
}

// The one that waits takes the place of the daemon, and has to show that it can.
static void promote_next(void) {
  keeper.daemon = keeper.next;
  keeper.next = (struct daemon){.channel = -1};
  keeper.on_trial = true;
  keeper.went_back = false;
  keeper.trial_end = now_ms() + (keeper.next_asked ? trial_ms : load_ms);
  started();
  if (keeper.next_asked) begin_taking();
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

// Passes the signal to stop on, when a daemon can obey it or none will.
static void deliver_stop(void) {
  const bool can_obey = keeper.daemon.pid != 0 && (keeper.up || !keeper.was_up);
  const bool one_will = keeper.was_up && now_ms() < keeper.stop_end;
  if (!keeper.stop_held || (!can_obey && one_will)) return;
  if (keeper.daemon.pid == 0) exit(0);
  keeper.stop_held = false;
  kill(keeper.daemon.pid, keeper.stop);
}

// Whether the end of the daemon is the end of all. In order: it said so, or it never came to listen and was asked to or
// said why. One that was asked to and had handed over, or was killed meanwhile, leaves it to the next one.
static bool is_last(int status) {
  if (keeper.leaving || (!keeper.was_up && (keeper.stop != 0 || WIFEXITED(status)))) return true;
  return keeper.stop != 0 && now_ms() >= keeper.stop_end;
}

// What the end of a daemon costs that has not come to listen. One that was killed did nothing wrong, unless that was
// for lack of memory, again and again.
static int64_t not_up(int status) {
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (!killed || ++keeper.kills % kills_of_failure == 0) keeper.failures++;
  return killed ? killed_cost_ms : not_up_cost_ms;
}

static void daemon_ended(int status) {
  close_channel(&keeper.daemon);
  if (keeper.on_trial) kill(-keeper.daemon.pid, SIGKILL);
  keeper.daemon.pid = 0;
  keeper.last_status = status;
  if (is_last(status)) end_like(status);
  keeper.stop_held = keeper.stop != 0;
  for (size_t i = 0; i < table.size; i++) table_clear_news(&table.entries[i]);
  if (keeper.next.pid != 0) {
    promote_next();
    return;
  }
  keeper.went_back = keeper.on_trial;
  keeper.on_trial = false;
  if (keeper.went_back) {
    keeper.start_at = now_ms();
    return;
  }
  const int64_t lived = now_ms() - keeper.started;
  keeper.debt = keeper.debt > lived ? keeper.debt - lived : 0;
  keeper.debt += keeper.up ? ended_cost_ms : not_up(status);
  if (keeper.debt > max_debt_ms) keeper.debt = max_debt_ms;
  postpone_start();
}

// Children of a daemon that has ended are the keeper's, as are orphans.
static void reap(void) {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    // What a daemon has sent last is there by now, and may be the deposit of this very process. From its end on nothing
    // can be sent any more: a process that is about to start either has deposited itself, or does not run its program.
    if (pid == keeper.daemon.pid && keeper.daemon.channel >= 0) shutdown(keeper.daemon.channel, SHUT_RD);
    receive_all(&keeper.daemon);
    if (pid == keeper.daemon.pid) {
      daemon_ended(status);
      continue;
    }
    if (pid == keeper.next.pid) {
      kill(-pid, SIGKILL);
      close_channel(&keeper.next);
      keeper.next.pid = 0;
      report_cancelled(status);
      continue;
    }
    struct entry *entry = table_entry_of_process(pid);
    if (entry != NULL) table_ended(entry, status);
  }
}

static void read_signals(void) {
  struct signalfd_siginfo info;
  while (read(keeper.signals, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) continue;
    if (keeper.stop == 0) keeper.stop_end = now_ms() + stop_ms;
    keeper.stop = (int)info.ssi_signo;
    keeper.stop_held = true;
    if (keeper.daemon.pid == 0) keeper.start_at = now_ms();
    deliver_stop();
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

// Faults keep ending it, and job control keeps stopping it with a daemon of its process group. Everything else is taken
// from the signal descriptor, or waits for ever.
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
  if (sigprocmask(SIG_SETMASK, &blocked, &keeper.origin.mask) < 0) return false;
  keeper.signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
  return keeper.signals >= 0;
}

static bool prepare(char **command) {
  if (!take_command(&keeper.origin, command)) return false;
  keeper.daemon.channel = keeper.next.channel = -1;
  prctl(PR_SET_DUMPABLE, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  return table_open(&keeper.origin.files) && set_signals();
}

static int milliseconds_left(void) {
  int64_t end = keeper.start_at;
  if (keeper.on_trial && keeper.daemon.pid != 0) end = keeper.trial_end;
  if (keeper.stop_held && (end == no_deadline || end > keeper.stop_end)) end = keeper.stop_end;
  if (end == no_deadline) return -1;
  const int64_t left = end - now_ms();
  return left < 0 ? 0 : (int)left;
}

// What the daemon, or the one that waits, has sent. One that has closed its end has in general ended, which SIGCHLD
// reports.
static void serve(struct daemon *daemon, short events) {
  if ((events & (POLLIN | POLLHUP)) != 0) receive_all(daemon);
  if ((events & POLLHUP) != 0) close_channel(daemon);
  else if ((events & POLLOUT) != 0) flush();
}

int main(int argc, char **argv) {
  if (argc < 2) {
    dprintf(STDERR_FILENO, "usage: envd-keeper PROGRAM ARGUMENT...\n");
    return 2;
  }
  if (!widen_stack()) return cannot_run;
  const bool off = is_switched_off(argv + 1);
  if (off || is_kept()) {
    if (off) unsetenv(KEEPER_VARIABLE);
    execv(argv[1], argv + 1);
    complain("cannot execute", argv[1]);
    return cannot_run;
  }
  if (!prepare(argv + 1)) {
    complain("cannot keep", argv[1]);
    return cannot_run;
  }
  hide_words(argv + 1);
  start();
  for (;;) {
    const bool waits = keeper.taking_now || table.news > 0;
    struct pollfd polled[] = {{.fd = keeper.signals, .events = POLLIN},
                              {.fd = keeper.daemon.channel, .events = (short)(POLLIN | (waits ? POLLOUT : 0))},
                              {.fd = keeper.next.channel, .events = POLLIN}};
    poll(polled, 3, milliseconds_left());
    serve(&keeper.daemon, polled[1].revents);
    serve(&keeper.next, polled[2].revents);
    if ((polled[0].revents & POLLIN) != 0) read_signals();
    deliver_stop();
    if (keeper.daemon.pid == 0 && keeper.start_at != no_deadline && now_ms() >= keeper.start_at) start();
    if (keeper.daemon.pid != 0 && keeper.on_trial && now_ms() >= keeper.trial_end) {
      end_group(keeper.daemon.pid);
      keeper.trial_end += trial_ms;
    }
  }
}
