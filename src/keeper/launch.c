#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol.h"
#include "table.h"

void complain(const char *what, const char *path) {
  dprintf(STDERR_FILENO, "envd: %s %s: %s\n", what, path, strerror(errno));
}

static void run(const struct origin *origin, const struct program *program, bool group, int channel, pid_t parent) {
  static char variable[sizeof KEEPER_VARIABLE + 16];
  char **command = origin->command;
  if (program->path[0] != '\0') {
    command += origin->words - program->words - 1;
    command[0] = (char *)program->path;
  }
  // A keeper that is killed takes the daemon along, as its port must be free for the next one.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(cannot_run);
  if (group) setpgid(0, 0);
  fcntl(channel, F_SETFD, 0);
  snprintf(variable, sizeof variable, KEEPER_VARIABLE "=%d", channel);
  putenv(variable);
  setrlimit(RLIMIT_NOFILE, &origin->files);
  sigprocmask(SIG_SETMASK, &origin->mask, NULL);
  execv(command[0], command);
  const int status = errno == ENOENT ? not_found : cannot_run;
  complain("cannot execute", command[0]);
  _exit(status);
}

bool take_command(struct origin *origin, char **words) {
  size_t count = 0;
  while (words[count] != NULL) count++;
  char **copy = calloc(count + 1, sizeof *copy);
  if (copy == NULL) return false;
  for (size_t i = 0; i < count; i++)
    if ((copy[i] = strdup(words[i])) == NULL) return false;
  origin->command = copy;
  origin->words = count;
  return true;
}

void hide_words(char **words) {
  for (; *words != NULL; words++) memset(*words, 0, strlen(*words));
}

bool widen_stack(void) {
  struct rlimit stack;
  if (getrlimit(RLIMIT_STACK, &stack) < 0) return false;
  if (stack.rlim_cur >= least_stack) return true;
  const unsigned long long given = stack.rlim_cur;
  stack.rlim_cur = least_stack;
  if (stack.rlim_max < least_stack) stack.rlim_max = least_stack;
  if (setrlimit(RLIMIT_STACK, &stack) == 0) return true;
  dprintf(STDERR_FILENO, "envd: a stack of %llu KiB is too small, and it cannot be raised to %d KiB (ulimit -s): %s\n",
          given / 1024, least_stack / 1024, strerror(errno));
  return false;
}

static bool open_channel(int ends[2]) {
  const int on = 1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return false;
  if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0) return true;
  close_all(ends, 2);
  return false;
}

bool launch(const struct origin *origin, const struct program *program, bool group, struct daemon *daemon) {
  int ends[2];
  const pid_t own = getpid();
  if (!open_channel(ends)) return false;
  const pid_t pid = fork();
  if (pid == 0) run(origin, program, group, ends[1], own);
  if (pid < 0) {
    close_all(ends, 2);
    return false;
  }
  close(ends[1]);
  *daemon = (struct daemon){.pid = pid, .channel = ends[0]};
  return true;
}

void close_channel(struct daemon *daemon) {
  if (daemon->channel >= 0) close(daemon->channel);
  daemon->channel = -1;
}

bool is_kept(void) {
  const char *text = getenv(KEEPER_VARIABLE);
  struct ucred peer;
  socklen_t size = sizeof peer;
  return text != NULL && getsockopt(atoi(text), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == getppid();
}
