// Fuzzes what makes the entries of archives, and what archives them: packed entries of any bytes, and well-packed ones
// with names that lead elsewhere. Nothing outside the root may change, and no descriptor may stay open.
#include <dirent.h>
#include <ftw.h>
#include <poll.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../../../src/native/archive-entries.h"
#include "../../../src/native/unpack.cc"

namespace {

constexpr std::array<std::string_view, 12> parts = {"a",   "b",      "out", "..",   ".",   "",
                                                    "way", "c\xff", "\n",  "file", "dev", "b/../.."};

std::string base;

struct Input {
  const uint8_t* at;
  size_t left;

  uint8_t byte() { return left == 0 ? 0 : (left--, *at++); }

  std::string path() {
    std::string path;
    for (int count = byte() % 4; count >= 0 && left > 0; count--) {
      const uint8_t choice = byte();
      if (!path.empty()) path += '/';
      if (choice < 240) path += parts[choice % parts.size()];
      else if (choice < 250) path += base + "/outside/file";
      else path += std::string(300, 'x');
    }
    return path;
  }
};

// As native/unpack.ts packs entries.
std::string packed_entries(Input& input) {
  std::string out;
  for (int entries = 0; entries < 24 && input.left > 0; entries++) {
    envd::put_integer(out, input.byte() % 6, 4);
    envd::put_integer(out, input.byte() | input.byte() << 8, 4);
    for (int i = 0; i < 2; i++) envd::put_integer(out, input.byte() % 3, 4);
    envd::put_integer(out, input.byte(), 8);
    envd::put_integer(out, input.byte(), 4);
    envd::put_text(out, input.path());
    envd::put_text(out, input.path());
    envd::put_text(out, std::string(input.byte(), 'c'));
    const uint64_t attributes = input.byte() % 3;
    envd::put_integer(out, attributes, 4);
    for (uint64_t i = 0; i < attributes; i++) {
      envd::put_text(out, "user.e2b." + input.path());
      envd::put_text(out, std::string(input.byte(), 'v'));
    }
  }
  return out;
}

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "archives: %s\n", what);
  std::abort();
}

int remove_one(const char* path, const struct stat*, int, FTW*) { return remove(path); }

struct Outside {
  timespec directory;
  timespec file;
  nlink_t links;

  bool operator==(const Outside& other) const {
    const auto same = [](const timespec& a, const timespec& b) {
      return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
    };
    return same(directory, other.directory) && same(file, other.file) && links == other.links;
  }
};

Outside look_outside() {
  struct stat directory {};
  struct stat file {};
  check(stat((base + "/outside").c_str(), &directory) == 0, "what is outside is gone");
  check(stat((base + "/outside/file").c_str(), &file) == 0, "a file outside is gone");
  return {directory.st_ctim, file.st_ctim, file.st_nlink};
}

int open_descriptors() {
  std::array<pollfd, 256> all{};
  for (size_t i = 0; i < all.size(); i++) all[i].fd = static_cast<int>(i);
  poll(all.data(), all.size(), 0);
  int count = 0;
  for (const pollfd& each : all) count += (each.revents & POLLNVAL) == 0;
  return count;
}

void unpack(int root, const std::string& packed) {
  envd::UnpackEntries job;
  job.root = root;
  job.archive_owners = !packed.empty() && (packed[0] & 1) != 0;
  job.packed = packed;
  job.act();
}

// The names of a directory, of any bytes, as the caller has them from its listing.
void archive(int root, std::string_view names) {
  std::string out;
  envd::Pieces pieces(out, 1 << 20);
  std::vector<std::string> found;
  const envd::EntriesOptions options{{names}, names.size() % 2 != 0};
  const size_t used = envd::archive_entries(options, {root, "path", "leading/"}, names, found, pieces);
  pieces.end();
  check(used <= names.size(), "more names than there are");
  envd::EntryStatus status;
  envd::take_status(names, status);
  struct stat facts {};
  facts.st_uid = 70000000;
  facts.st_mtim = {-1, 5};
  std::string header;
  const std::string_view link = names.substr(names.size() / 2);
  envd::put_tar_header(header, {names, link, '2', names.size(), facts, status.attributes, {names}});
  check(header.size() % envd::tar_block_bytes == 0, "a header of odd length");
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  char name[] = "/tmp/fuzz-archives-XXXXXX";
  check(mkdtemp(name) != nullptr, "no directory");
  base = name;
  check(mkdir((base + "/outside").c_str(), 0755) == 0, "no directory");
  const int file = open((base + "/outside/file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  check(file >= 0, "no file");
  close(file);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const int before = open_descriptors();
  const std::string place = base + "/root";
  check(mkdir(place.c_str(), 0755) == 0, "no root");
  check(symlink("../outside", (place + "/out").c_str()) == 0, "no link");
  check(symlink((base + "/outside").c_str(), (place + "/way").c_str()) == 0, "no link");
  const int root = open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const Outside outside = look_outside();
  Input input{data + 1, size - 1};
  const std::string raw(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] % 4 == 0) unpack(root, raw);
  else if (data[0] % 4 == 1) archive(root, raw);
  else unpack(root, packed_entries(input));
  check(look_outside() == outside, "something outside has changed");
  close(root);
  check(open_descriptors() == before, "descriptors are left open");
  check(nftw(place.c_str(), remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, "the root stays");
  return 0;
}
