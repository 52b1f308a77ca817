#include "put-entry.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "attributes.h"
#include "descriptor.h"
#include "entry-layout.h"
#include "job.h"

namespace envd {

namespace {

// What says nothing about a link, only about the machine.
bool is_shortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR || error == EAGAIN;
}

// Whether a link leads through what a process has open (proc(5)), which is the daemon where it says `self`. Old kernels
// do not report it. Returns 0 or an errno.
int look_for_magic(int directory, const std::string& name, bool& magic) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_MAGICLINKS;
  const Descriptor target(static_cast<int>(syscall(SYS_openat2, directory, name.c_str(), &how, sizeof how)));
  magic = !target.valid() && errno == ELOOP;
  return !target.valid() && is_shortage(errno) ? errno : 0;
}

// The final target of a link; null: there is none, or it must not be reported. Returns 0 or an errno.
int find_target(int directory, const std::string& name, const std::string& path, struct stat& target, char*& real) {
  bool magic = false;
  if (const int error = look_for_magic(directory, name, magic); error != 0 || magic) return error;
  if (stat(path.c_str(), &target) == 0) real = realpath(path.c_str(), nullptr);
  return real == nullptr && is_shortage(errno) ? errno : 0;
}

void put_status(std::string& out, const std::string& name, const struct stat& status, LinkState state) {
  put_facts(out, {name, status.st_mode, status.st_uid, status.st_gid, static_cast<uint64_t>(status.st_size),
                  status.st_mtim.tv_sec, static_cast<uint64_t>(status.st_mtim.tv_nsec)});
  put_integer(out, state, 1);
}

}  // namespace

int put_entry(std::string& out, const Listed& directory, const std::string& name, const std::string& path,
              std::string_view prefix) {
  struct stat status {};
  const int error = status_of_entry(directory, name.c_str(), list_patience, status);
  if (error != 0 && (error == EACCES || status.st_mode == 0)) return error;
  if (error != 0) {
    put_status(out, name, status, does_not_answer);
    put_integer(out, 0, 4);
    return 0;
  }
  struct stat target {};
  char* real = nullptr;
  const bool is_link = S_ISLNK(status.st_mode);
  if (is_link) {
    if (const int error = find_target(directory.descriptor, name, path, target, real); error != 0) return error;
  }
  put_status(out, name, status, !is_link ? no_link : real == nullptr ? broken_link : leads_somewhere);
  if (real != nullptr) {
    put_integer(out, target.st_mode, 4);
    put_text(out, real);
    free(real);
  }
  // Only files and directories have attributes of the `user.` kind.
  const mode_t mode = is_link ? target.st_mode : status.st_mode;
  if (S_ISREG(mode) || S_ISDIR(mode)) put_attributes(out, Subject{-1, path.c_str()}, prefix);
  else put_integer(out, 0, 4);
  return 0;
}

}  // namespace envd
