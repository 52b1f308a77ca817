// Starts daemons.
#pragma once

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

enum {
  cannot_run = 126,
  not_found = 127,
  // V8 uses 984 KiB of the stack of its thread, and native code is called from the end of that.
  least_stack = 2 << 20,
};

// What the keeper was started with, which daemons get as it was.
struct origin {
  char **command;
  size_t words;
  sigset_t mask;
  struct rlimit files;
};

// A program in the place of the first word of the command, and how many of its last words it has; without a path it is
// the command as it is.
struct program {
  char path[PATH_MAX];
  size_t words;
};

// A daemon, or 0 for its pid while none runs; the keeper's end of its socket pair, or -1.
struct daemon {
  pid_t pid;
  int channel;
};

// Writes a line with the text of errno to standard error.
void complain(const char *what, const char *path);

// False, with nothing changed: it cannot be started. `group`: it is in a process group of its own, to be ended whole.
bool launch(const struct origin *origin, const struct program *program, bool group, struct daemon *daemon);

void close_channel(struct daemon *daemon);

// Keeps a copy of the words of a command. False: there is no memory for it.
bool take_command(struct origin *origin, char **words);

// Leaves nothing of these words in /proc/PID/cmdline, which every user may read. The name before them stays.
void hide_words(char **words);

// Raises the limit of the stack (RLIMIT_STACK) to what a daemon needs where it is lower; commands have it from there.
// False, and the reason is on standard error: this may not be done.
bool widen_stack(void);

// Whether this process was started by a keeper, as the program of a bundle that is upgraded to: the daemon is that
// one's.
bool is_kept(void);
