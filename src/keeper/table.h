// What the daemon has deposited, by key.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "protocol.h"

// What is kept under one key.
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

struct table {
  struct entry *entries;
  size_t size;
  // Entries with news.
  size_t news;
  // Descriptors from this number on are left for the state of the sandbox, and for the start of a daemon.
  int ordinary;
};

extern struct table table;

void close_all(const int *descriptors, size_t count);

// Raises the limit of open files to the hard one. False: the limit cannot be read.
bool table_open(struct rlimit *given);

// Makes a key usable for what has come. False, with errno set: the key is beyond the limit, there is no memory, or what
// has come takes what is reserved.
bool table_make_room(uint64_t key, const int *descriptors, size_t count);

// The entry of a key; NULL: nothing is kept under it.
struct entry *table_entry(uint64_t key);

// The entry of a process that has not ended; NULL: there is none.
struct entry *table_entry_of_process(pid_t pid);

// Puts descriptors, which are the table's from then on, under a key that there is room for, in the place of those that
// are there. An end of the same process that is known already stays known.
void table_put(const struct keeper_message *message, const int *descriptors, size_t count);

// KEEPER_TRIM and KEEPER_DROP of protocol.h.
void table_trim(const struct keeper_message *message);
void table_drop(uint64_t key);

// The process has ended; the daemon has yet to receive it.
void table_ended(struct entry *entry, int status);

// The daemon has received it.
void table_clear_news(struct entry *entry);
