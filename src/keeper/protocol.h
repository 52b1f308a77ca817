// What the daemon and its keeper send each other over a SOCK_SEQPACKET socket pair: one message a packet, descriptors
// beside it (SCM_RIGHTS in unix(7)). protocol.ts says the same.
#pragma once

#include <stdint.h>

// The environment variable that names the daemon's end.
#define KEEPER_VARIABLE "ENVD_KEEPER"

// Descriptors of one deposit, and deposits in all: MAX_PROCESSES of the registry and as many ends again.
#define KEEPER_DESCRIPTORS 8
#define KEEPER_KEYS 65536

// The key of the state of the sandbox. It is kept also when descriptors are too few for another deposit: without it the
// next daemon would not know the access token.
#define KEEPER_STATE_KEY 0

enum {
  // To the keeper: keep the descriptors under `key`, in the place of those that are there; `pid` is the process that
  // they belong to, or 0; `value` a note of the daemon's, below KEEPER_ENDED. To the daemon: what is kept, with the
  // note, and KEEPER_ENDED if the process has ended with `status`.
  KEEPER_PUT = 1,
  // To the keeper: close what is kept under `key`.
  KEEPER_DROP = 2,
  // Both ways: the process of `key` has ended with `status`, as waitpid(2) has it.
  KEEPER_EXITED = 3,
  // To the keeper: send all that is kept, then KEEPER_END.
  KEEPER_TAKE = 4,
  // To the keeper: the daemon listens.
  KEEPER_UP = 5,
  // To the keeper: the end that follows is in order, whatever it is.
  KEEPER_LEAVE = 6,
  // To the daemon: that was all. `key`: the starts so far, this one included; `pid`: how many daemons in a row ended
  // before they listened; `status`: how the last one ended; `value`: of KEEPER_TRIAL, KEEPER_WENT_BACK and
  // KEEPER_HEARS_CHILDREN.
  KEEPER_END = 7,
  // To the daemon: what was to be put under `key` is not kept, and what was there before is; `status`: why, an errno.
  KEEPER_REFUSED = 8,
  // To the keeper: of what is kept under `key` close all descriptors but the first `status`; `value` is the note from now on.
  KEEPER_TRIM = 9,
  // To the keeper: start another daemon, which waits for the end of this one, and then takes what is kept. Behind the
  // message stands the path of its program with a NUL, or nothing: the same once more. It has the last `value` words of
  // the command line.
  KEEPER_NEXT = 10,
  // To the daemon: the other one waits, for what it has asked with KEEPER_TAKE.
  KEEPER_READY = 11,
  // To the keeper: end the other one. To the daemon: the other one could not be started, or has ended with `status`.
  KEEPER_CANCEL = 12,
};

#define KEEPER_ENDED 0x80000000u

// This daemon was started by KEEPER_NEXT: if it does not send KEEPER_UP in time, that of before is started again.
#define KEEPER_TRIAL 1u
// This one is that of before.
#define KEEPER_WENT_BACK 2u
// This keeper also hears KEEPER_PUT of a process that the daemon is about to start, with that one's own pid.
#define KEEPER_HEARS_CHILDREN 4u

struct keeper_message {
  uint32_t type;
  int32_t pid;
  uint64_t key;
  int32_t status;
  uint32_t value;
};
