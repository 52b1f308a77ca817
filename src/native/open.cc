// Opens files, each in one piece of work: every trip to the thread pool costs more than the system calls it is for.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "attributes.h"
#include "few-descriptors.h"
#include "job.h"
#include "name-file.h"
#include "registration.h"
#include "values.h"
#include "version.h"
#include "walk.h"

namespace envd {

namespace {

// O_NONBLOCK: a FIFO that takes the file's place meanwhile must not stop the thread.
constexpr int write_flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW;
constexpr int read_flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW;
constexpr mode_t new_file_mode = 0666;
constexpr int max_tries = 16;

template <typename PathJob>
napi_value start_at_path(napi_env env, napi_callback_info info, const char* name) {
  Arguments arguments;
  auto job = std::make_unique<PathJob>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor)) return nullptr;
  return start_job(env, std::move(job), name);
}

struct OpenToWrite : ActorJob {
  std::string path;
  bool empty = false;
  bool append = false;
  // What is not there gets its name when it is whole (`name_file`), where the filesystem can do that.
  bool unnamed = false;
  // A client can keep it open.
  bool held = true;

  void act() override {
    // Others may make and remove the file meanwhile.
    for (int tries = 0; tries < max_tries; tries++) {
      Place place;
      if (!find_place(*this, path, Last::follow, "stat", place)) {
        if (error == ENOENT) call = "open";
        return;
      }
      if (held && few_descriptors()) return fail("open", EMFILE);
      // Looked at before it is opened: opening a device may have effects of its own.
      if (place.exists() && !S_ISREG(place.status.st_mode) && !is_sink(place.status))
        return report(Descriptor(), place.status, false, 0);
      if (unnamed && !place.exists() && place.parent.valid()) {
        Descriptor file = open_unnamed(place.parent.get(), new_file_mode);
        if (!file.valid() && !has_no_unnamed(errno)) return fail("open", errno);
        if (file.valid()) {
          directory = std::move(place.parent);
          name = place.name;
          return open_file(std::move(file), true);
        }
      }
      const int flags = (place.exists() ? write_flags : write_flags | O_CREAT | O_EXCL) | (append ? O_APPEND : 0);
      Descriptor file(openat(place.parent.get(), place.name.c_str(), flags, new_file_mode));
      if (file.valid()) {
        open_file(std::move(file), !place.exists());
        if (error != 0 && !place.exists()) unlinkat(place.parent.get(), place.name.c_str(), 0);
        return;
      }
      if (errno != (place.exists() ? ENOENT : EEXIST) && errno != ELOOP) return fail("open", errno);
    }
    fail("open", ELOOP);
  }

  void open_file(Descriptor file, bool made) {
    struct stat status {};
    if (fstat(file.get(), &status) < 0) return fail("fstat", errno);
    if (is_sink(status)) return report(std::move(file), status, made, 0);
    if (!S_ISREG(status.st_mode)) return report(Descriptor(), status, made, 0);
    const int owner_error = own(file.get(), status, made);
    // After it was given, so that what is written counts for the owner.
    if (empty && owner_error == 0 && status.st_size > 0) {
      if (ftruncate(file.get(), 0) < 0) return fail("ftruncate", errno);
      status.st_size = 0;
    }
    report(std::move(file), status, made, owner_error);
  }

  // What is another user's stays so, but loses the bits and capabilities that let it run as its owner, as after any
  // chown(2).
  int own(int file, const struct stat& status, bool made) const {
    if (actor.own_rights) return 0;
    const bool foreign = !made && status.st_uid != actor.uid && geteuid() == 0;
    if (foreign)
      return fchown(file, static_cast<uid_t>(-1), static_cast<gid_t>(-1)) < 0 && !is_kernel_filesystem(file) ? errno
                                                                                                             : 0;
    return fchown(file, actor.uid, actor.gid) < 0 ? errno : 0;
  }

  // The descriptor that can be written to, also in the result; -1: the caller has to handle something first.
  int ready = -1;
  // Directory of a file without a name, also in the result.
  Descriptor directory;
  int parent = -1;
  std::string name;

  void report(Descriptor file, const struct stat& status, bool made, int owner_error) {
    if (owner_error == 0 && S_ISREG(status.st_mode)) ready = file.get();
    put_integer(result, static_cast<uint32_t>(file.release()), 4);
    put_integer(result, status.st_mode, 4);
    put_integer(result, made ? 1 : 0, 4);
    put_integer(result, static_cast<uint64_t>(status.st_size), 8);
    put_text(result, owner_error == 0 ? "" : error_name(owner_error));
    put_text(result, name);
    parent = directory.release();
    put_integer(result, static_cast<uint32_t>(parent), 4);
  }
};

// Opens a file, writes it and closes it: what is small takes one trip to the thread pool instead of three.
struct StoreFile : OpenToWrite {
  std::string content;
  Finish finish;

  // With the daemon's rights, as larger files are written.
  void conclude() override {
    const size_t written = ready < 0 ? 0 : write_content();
    put_integer(result, written, 4);
    if (ready < 0 || written < content.size() || !give_name()) return;
    finish.descriptor = ready;
    finish.run(*this);
  }

  // False: something has taken the name meanwhile, and both descriptors stay open.
  bool give_name() {
    if (parent < 0) return true;
    Descriptor named = name_file(ready, parent, name, actor);
    if (!named.valid()) return false;
    close(ready);
    close(parent);
    ready = named.release();
    return true;
  }

  // Writes as many bytes as there is room for. The caller that writes the rest receives the error.
  size_t write_content() const {
    size_t written = 0;
    while (written < content.size()) {
      const ssize_t count = write(ready, content.data() + written, content.size() - written);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      written += static_cast<size_t>(count);
    }
    return written;
  }
};

struct OpenToRead : ActorJob {
  std::string path;
  int descriptor = -1;
  // A client can keep it open.
  bool held = true;

  void act() override {
    for (int tries = 0; tries < max_tries; tries++) {
      Place place;
      if (!find_place(*this, path, Last::follow, "open", place)) return;
      if (!place.exists()) return fail("open", ENOENT);
      if (held && few_descriptors()) return fail("open", EMFILE);
      // Nothing is opened that could wait, or whose opening has effects.
      if (!S_ISREG(place.status.st_mode) && !is_sink(place.status)) return put_integer(result, UINT32_MAX, 4);
      descriptor = openat(place.parent.get(), place.name.c_str(), read_flags);
      if (descriptor >= 0) return put_integer(result, static_cast<uint32_t>(descriptor), 4);
      if (errno != ENOENT && errno != ELOOP) return fail("open", errno);
    }
    fail("open", ELOOP);
  }
};

// Reads a small file whole. Without a result it is to be opened: it is larger, or of a kind whose size says nothing.
struct ReadFile : OpenToRead {
  int64_t limit = 0;

  void conclude() override {
    const Descriptor file(descriptor);
    result.clear();
    struct stat status {};
    if (!file.valid() || fstat(file.get(), &status) < 0 || !S_ISREG(status.st_mode)) return;
    if (status.st_size == 0 || status.st_size > limit || is_kernel_filesystem(file.get())) return;
    const auto size = static_cast<size_t>(status.st_size);
    // One byte more, to see the end.
    std::string content(size + 1, '\0');
    size_t filled = 0;
    while (filled < content.size()) {
      const ssize_t count = pread(file.get(), content.data() + filled, content.size() - filled,
                                  static_cast<off_t>(filled));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return;
      if (count == 0) break;
      filled += static_cast<size_t>(count);
    }
    if (filled != size) return;
    put_version(result, status);
    result.append(content, 0, size);
  }
};

napi_value open_to_write(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<OpenToWrite>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor) || !to_boolean(env, arguments.at[2], "empty", job->empty))
    return nullptr;
  if (!is_undefined(env, arguments.at[3]) && !to_boolean(env, arguments.at[3], "append", job->append)) return nullptr;
  if (!is_undefined(env, arguments.at[4]) && !to_boolean(env, arguments.at[4], "unnamed", job->unnamed)) return nullptr;
  return start_job(env, std::move(job), "openToWrite");
}

napi_value store_file(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<StoreFile>();
  std::string_view content;
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor) || !to_view(env, arguments.at[2], "content", content)) return nullptr;
  if (!to_string(env, arguments.at[3], "prefix", job->finish.prefix)) return nullptr;
  if (!to_strings(env, arguments.at[4], "pairs", job->finish.pairs)) return nullptr;
  job->empty = true;
  job->unnamed = true;
  job->held = false;
  job->content = content;
  return start_job(env, std::move(job), "storeFile");
}

napi_value read_file(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<ReadFile>();
  if (!get_arguments(env, info, arguments) || !to_path(env, arguments.at[0], job->path)) return nullptr;
  if (!to_actor(env, arguments.at[1], job->actor)) return nullptr;
  if (!to_integer(env, arguments.at[2], "limit", 0, INT32_MAX, job->limit)) return nullptr;
  job->held = false;
  return start_job(env, std::move(job), "readFile");
}

napi_value open_to_read(napi_env env, napi_callback_info info) {
  return start_at_path<OpenToRead>(env, info, "openToRead");
}

}  // namespace

void register_open(napi_env env, napi_value exports) {
  export_function(env, exports, "openToWrite", open_to_write);
  export_function(env, exports, "storeFile", store_file);
  export_function(env, exports, "openToRead", open_to_read);
  export_function(env, exports, "readFile", read_file);
}

}  // namespace envd
