#include "put-entry.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <functional>
#include <memory>

#include "attributes.h"
#include "descriptor.h"
#include "entry-layout.h"
#include "job.h"
#include "probes.h"

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

namespace envd {

namespace {

// What says nothing about a link, only about the machine.
bool is_shortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR || error == EAGAIN;
}

constexpr int target_flags = O_PATH | O_CLOEXEC;

// What a link leads to.
struct Target {
  // False: not looked at.
  bool known = false;
  // What says nothing about it, only about the machine; 0: none.
  int shortage = 0;
  mode_t mode = 0;
  // Empty: there is none, or it must not be reported.
  std::string path;
  // Packed.
  std::string attributes = std::string(4, '\0');
};

// The rest, of what is a file, a directory or something else.
void look_at_target(const std::string& path, std::string_view prefix, mode_t mode, Target& target) {
  target.mode = mode;
  char* real = realpath(path.c_str(), nullptr);
  if (real == nullptr && is_shortage(errno)) target.shortage = errno;
  if (real != nullptr) target.path = real;
  free(real);
  if (!S_ISREG(mode) && !S_ISDIR(mode)) return;
  target.attributes.clear();
  put_attributes(target.attributes, Subject{-1, path.c_str()}, prefix);
}

// A link that leads through what a process has open (proc(5)), which is the daemon where it says `self`, is as one that
// leads nowhere. Old kernels do not tell.
void follow(int directory, const std::string& name, const std::string& path, std::string_view prefix, Target& target) {
  const Descriptor found = open_resolved(directory, name.c_str(), target_flags, RESOLVE_NO_MAGICLINKS);
  target.known = true;
  struct stat status {};
  const bool led = found.valid() || (errno != ELOOP && !is_shortage(errno));
  if (led && stat(path.c_str(), &status) == 0) return look_at_target(path, prefix, status.st_mode, target);
  if (is_shortage(errno)) target.shortage = errno;
}

// Follows a link for which no other filesystem is asked than the one that it is on: what it leads to is there, and
// known to the kernel, or there is nothing. False: it may be elsewhere. Kernels before Linux 5.12 do not tell.
bool follow_near(const Listed& directory, const std::string& name, const std::string& path, std::string_view prefix,
                 Target& target) {
  const uint64_t resolve = RESOLVE_CACHED | RESOLVE_NO_MAGICLINKS;
  const Descriptor found = open_resolved(directory.descriptor, name.c_str(), target_flags, resolve);
  if (!found.valid() && errno == EAGAIN) return false;
  if (!found.valid()) {
    follow(directory.descriptor, name, path, prefix, target);
    return true;
  }
  struct stat status {};
  struct stat own {};
  const bool known = directory.local && known_status(found.get(), status) == 0 &&
                     known_status(directory.descriptor, own) == 0 && status.st_dev == own.st_dev;
  if (known) look_at_target(path, prefix, status.st_mode, target);
  return known;
}

// Looks for the target of a link for as long as a list waits for a filesystem.
Target target_of(const Listed& directory, const std::string& name, const std::string& path, std::string_view prefix) {
  Target target;
  if (follow_near(directory, name, path, prefix, target)) return target;
  const auto own = std::make_shared<Descriptor>(fcntl(directory.descriptor, F_DUPFD_CLOEXEC, 0));
  if (!own->valid()) {
    target.shortage = errno;
    return target;
  }
  const auto later = std::make_shared<Target>();
  const auto ask = [own, later, name, path, prefix = std::string(prefix)] {
    follow(own->get(), name, path, prefix, *later);
  };
  if (!ask_within(std::hash<std::string>()(path), list_patience, ask)) return target;
  // Another list has asked the same, and it was answered.
  if (!later->known) follow(directory.descriptor, name, path, prefix, *later);
  return *later;
}

void put_status(std::string& out, const std::string& name, const struct stat& status, LinkState state) {
  put_facts(out, {name, status.st_mode, status.st_uid, status.st_gid, static_cast<uint64_t>(status.st_size),
                  status.st_mtim.tv_sec, static_cast<uint64_t>(status.st_mtim.tv_nsec)});
  put_integer(out, state, 1);
}

int put_link(std::string& out, const Listed& directory, const std::string& name, const struct stat& status,
             const std::string& path, std::string_view prefix) {
  const Target target = target_of(directory, name, path, prefix);
  if (target.shortage != 0) return target.shortage;
  put_status(out, name, status, target.path.empty() ? broken_link : leads_somewhere);
  if (!target.path.empty()) {
    put_integer(out, target.mode, 4);
    put_text(out, target.path);
  }
  out.append(target.attributes);
  return 0;
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
  if (S_ISLNK(status.st_mode)) return put_link(out, directory, name, status, path, prefix);
  put_status(out, name, status, no_link);
  // Only files and directories have attributes of the `user.` kind.
  if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) put_attributes(out, Subject{-1, path.c_str()}, prefix);
  else put_integer(out, 0, 4);
  return 0;
}

}  // namespace envd
