// What distinguishes one state of a file from every other one.
#pragma once

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdint>
#include <string>

#include "job.h"

namespace envd {

inline constexpr size_t version_bytes = 48;

inline uint64_t device_of(const struct statx& status) { return makedev(status.stx_dev_major, status.stx_dev_minor); }

inline void put_version(std::string& out, const struct statx& status) {
  put_integer(out, device_of(status), 8);
  put_integer(out, status.stx_ino, 8);
  put_integer(out, status.stx_size, 8);
  for (const auto& time : {status.stx_mtime, status.stx_ctime}) {
    put_integer(out, static_cast<uint64_t>(time.tv_sec), 8);
    put_integer(out, time.tv_nsec, 4);
  }
}

// By a call that no filter of system calls refuses, and that needs no descriptor.
inline void put_version(std::string& out, const struct stat& status) {
  struct statx facts {};
  facts.stx_dev_major = major(status.st_dev);
  facts.stx_dev_minor = minor(status.st_dev);
  facts.stx_ino = status.st_ino;
  facts.stx_size = static_cast<uint64_t>(status.st_size);
  facts.stx_mtime = {status.st_mtim.tv_sec, static_cast<uint32_t>(status.st_mtim.tv_nsec), 0};
  facts.stx_ctime = {status.st_ctim.tv_sec, static_cast<uint32_t>(status.st_ctim.tv_nsec), 0};
  put_version(out, facts);
}

}  // namespace envd
