#define _GNU_SOURCE
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct table table;

enum {
  // Where descriptors that belong to no process go: a socket that has the same number in parent and child looks
  // inherited.
  first_moved = 512,
  // The state of the sandbox twice, as the one before is closed after the new one has come, and beside it the channels
  // of two daemons.
  reserved = 2 * KEEPER_DESCRIPTORS + 8,
};

void close_all(const int *descriptors, size_t count) {
  for (size_t i = 0; i < count; i++) close(descriptors[i]);
}

struct entry *table_entry(uint64_t key) {
  return key < table.size && table.entries[key].used ? &table.entries[key] : NULL;
}

struct entry *table_entry_of_process(pid_t pid) {
  for (size_t i = 0; i < table.size; i++) {
    struct entry *entry = &table.entries[i];
    if (entry->used && entry->pid == pid && !entry->exited) return entry;
  }
  return NULL;
}

void table_clear_news(struct entry *entry) {
  if (entry->news) table.news--;
  entry->news = false;
}

void table_ended(struct entry *entry, int status) {
  entry->exited = true;
  entry->status = status;
  if (!entry->news) table.news++;
  entry->news = true;
}

void table_drop(uint64_t key) {
  struct entry *entry = table_entry(key);
  if (entry == NULL) return;
  table_clear_news(entry);
  close_all(entry->descriptors, entry->count);
  memset(entry, 0, sizeof *entry);
}

bool table_open(struct rlimit *given) {
  if (getrlimit(RLIMIT_NOFILE, given) < 0) return false;
  struct rlimit files = *given;
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) < 0) files = *given;
  // Of a process no number is larger.
  const rlim_t most = files.rlim_cur < INT_MAX ? files.rlim_cur : INT_MAX;
  table.ordinary = most > reserved ? (int)most - reserved : 0;
  return true;
}

// The lowest number that is free is taken first.
static bool takes_reserve(uint64_t key, const int *descriptors, size_t count) {
  for (size_t i = 0; key != KEEPER_STATE_KEY && i < count; i++)
    if (descriptors[i] >= table.ordinary) return true;
  return false;
}

bool table_make_room(uint64_t key, const int *descriptors, size_t count) {
  if (takes_reserve(key, descriptors, count)) {
    errno = EMFILE;
    return false;
  }
  if (key < table.size) return true;
  if (key >= KEEPER_KEYS) {
    errno = EINVAL;
    return false;
  }
  size_t size = table.size == 0 ? 64 : table.size;
  while (size <= key) size *= 2;
  struct entry *entries = realloc(table.entries, size * sizeof *entries);
  if (entries == NULL) return false;
  memset(entries + table.size, 0, (size - table.size) * sizeof *entries);
  table.entries = entries;
  table.size = size;
  return true;
}

static int moved_up(int descriptor) {
  const int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, first_moved);
  if (moved < 0) return descriptor;
  const bool free = moved < table.ordinary;
  close(free ? descriptor : moved);
  return free ? moved : descriptor;
}

void table_put(const struct keeper_message *message, const int *descriptors, size_t count) {
  struct entry *entry = &table.entries[message->key];
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
    table.news--;
  }
  if (before.used) close_all(before.descriptors, before.count);
}

void table_trim(const struct keeper_message *message) {
  struct entry *entry = table_entry(message->key);
  if (entry == NULL || message->status < 0) return;
  entry->note = message->value & ~KEEPER_ENDED;
  while (entry->count > message->status) close(entry->descriptors[--entry->count]);
}
