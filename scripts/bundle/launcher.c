// The executable of the bundle: starts the daemon on the loader, libraries and Node beside it, whatever the image has
// or lacks. Linked statically; knows nothing of the daemon's own flags. What it becomes is the keeper
// (src/keeper/keeper.c). LAUNCH_ENV and LAUNCH_FLAGS are those of scripts/launch-options.
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

static const char *const settings[] = {LAUNCH_ENV};
static const char *const flags[] = {LAUNCH_FLAGS};

enum { loader_words = 9, flag_words = sizeof flags / sizeof *flags };

static int failed(const char *what, const char *path) {
  fprintf(stderr, "envd: %s %s: %s\n", what, path, strerror(errno));
  return 126;
}

// The directory of this executable, without a slash at the end. Where /proc is missing, as the kernel was given the
// path.
static int find_directory(char *directory, size_t size) {
  const ssize_t length = readlink("/proc/self/exe", directory, size - 1);
  if (length > 0) {
    directory[length] = '\0';
  } else {
    const char *path = (const char *)getauxval(AT_EXECFN);
    char resolved[PATH_MAX];
    if (path == NULL || realpath(path, resolved) == NULL || strlen(resolved) >= size) return -1;
    strcpy(directory, resolved);
  }
  char *slash = strrchr(directory, '/');
  if (slash == NULL) return -1;
  *slash = '\0';
  return 0;
}

static int is_foreign(const char *entry) {
  static const char *const prefixes[] = {"LD_", "NODE_", "OPENSSL_", "SSLKEYLOGFILE=", "WATCH_REPORT_DEPENDENCIES="};
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
    if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0) return 1;
  }
  return 0;
}

// What the image sets for programs of its own would change or break this one, or open it: foreign libraries, options of
// another Node.
static void drop_foreign_settings(void) {
  for (char **entry = environ; *entry != NULL;) {
    const char *end = strchr(*entry, '=');
    if (end != NULL && is_foreign(*entry)) {
      char *name = strndup(*entry, (size_t)(end - *entry));
      if (name == NULL) return;
      unsetenv(name);
      free(name);
      entry = environ;
    } else {
      entry++;
    }
  }
}

static char *joined(const char *first, const char *second) {
  char *text = NULL;
  return asprintf(&text, "%s%s", first, second) < 0 ? NULL : text;
}

static int apply_settings(void) {
  char files[24];
  struct rlimit limit;
  drop_foreign_settings();
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    if (putenv((char *)settings[i]) != 0) return -1;
  }
  // Node raises the soft limit of open files to the hard one; commands get the limit that is in force here.
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
  if (limit.rlim_cur == RLIM_INFINITY) return unsetenv("ENVD_NOFILE");
  snprintf(files, sizeof files, "%llu", (unsigned long long)limit.rlim_cur);
  return setenv("ENVD_NOFILE", files, 1);
}

int main(int argc, char **argv) {
  char directory[PATH_MAX];
  if (find_directory(directory, sizeof directory) != 0) return failed("cannot find the directory of", argv[0]);
  if (apply_settings() != 0) return failed("cannot set the environment for", directory);

  char *loader = joined(directory, "/lib/" LOADER), *libraries = joined(directory, "/lib");
  // The client is a program of its own, without the keeper and the daemon's flags.
  const int client = argc > 1 && strcmp(argv[1], "ctl") == 0;
  char *node = joined(directory, "/bin/node"), *program = joined(directory, client ? "/ctl.cjs" : "/start.cjs");
  char *keeper = joined(directory, "/bin/envd-keeper");
  char **words = calloc((size_t)(loader_words + flag_words + argc + 1), sizeof *words);
  if (!loader || !libraries || !node || !program || !keeper || !words) return failed("cannot start from", directory);

  // --inhibit-cache: it lists the image's libraries, and none of them is for this program.
  char *const start[] = {keeper, loader, "--inhibit-cache", "--library-path", libraries, "--argv0", "envd", node};
  size_t count = sizeof start / sizeof *start;
  memcpy(words, start, sizeof start);
  for (size_t i = 0; !client && i < flag_words; i++) words[count++] = (char *)flags[i];
  words[count++] = program;
  for (int i = client ? 2 : 1; i < argc; i++) words[count++] = argv[i];
  if (client) {
    execv(loader, words + 1);
    return failed("cannot execute", loader);
  }
  // The keeper starts the daemon again when that ends unexpectedly.
  execv(keeper, words);
  return failed("cannot execute", keeper);
}
