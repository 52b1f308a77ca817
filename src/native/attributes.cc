// Extended attributes, which Node has no functions for: flistxattr(2), fgetxattr(2), fsetxattr(2), fremovexattr(2).
#include "attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "job.h"
#include "registration.h"
#include "values.h"
#include "version.h"

namespace envd {

namespace {

// The kernel returns at most 64 KiB of names (XATTR_LIST_MAX).
constexpr size_t max_list_bytes = 65536;
// The value may be written meanwhile; a few tries are enough.
constexpr int max_tries = 4;

// The names that begin with a prefix. False with errno set.
bool attribute_names(const Subject& subject, std::string_view prefix, std::vector<std::string>& names) {
  char small[1024];
  std::string large;
  char* buffer = small;
  ssize_t length = subject.list(small, sizeof small);
  if (length < 0 && errno == ERANGE) {
    large.resize(max_list_bytes);
    buffer = large.data();
    length = subject.list(buffer, large.size());
  }
  if (length < 0) return false;
  for (const char* at = buffer; at < buffer + length; at += strlen(at) + 1) {
    if (std::string_view(at).substr(0, prefix.size()) == prefix) names.emplace_back(at);
  }
  std::sort(names.begin(), names.end());
  return true;
}

bool attribute_value(const Subject& subject, const std::string& name, std::string& value) {
  for (int i = 0; i < max_tries; i++) {
    const ssize_t size = subject.get(name.c_str(), nullptr, 0);
    if (size < 0) return false;
    value.resize(static_cast<size_t>(size));
    if (size == 0) return true;
    const ssize_t length = subject.get(name.c_str(), value.data(), value.size());
    if (length >= 0) {
      value.resize(static_cast<size_t>(length));
      return true;
    }
    if (errno != ERANGE) return false;
  }
  return false;
}

struct FinishFile : Job {
  Finish finish;

  void run() override { finish.run(*this); }
};

// Kinds that the target does not take, or that need rights we lack, are left out.
bool is_refusal(int number) { return number == ENOTSUP || number == EPERM || number == EACCES || number == EINVAL; }

struct CopyAttributes : Job {
  int from = -1;
  int to = -1;

  void run() override {
    const int refused = copy_attributes(from, to, "");
    if (refused != 0) fail("copyAttributes", refused);
  }
};

napi_value finish_file(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<FinishFile>();
  Finish& finish = job->finish;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], finish.descriptor)) return nullptr;
  if (!to_string(env, arguments.at[1], "prefix", finish.prefix)) return nullptr;
  finish.keep_attributes = is_undefined(env, arguments.at[2]);
  if (!finish.keep_attributes && !to_strings(env, arguments.at[2], "pairs", finish.pairs)) return nullptr;
  if (!is_undefined(env, arguments.at[3]) && !to_boolean(env, arguments.at[3], "sync", finish.sync)) return nullptr;
  if (!is_undefined(env, arguments.at[4]) && !to_boolean(env, arguments.at[4], "stamp", finish.stamp)) return nullptr;
  return start_job(env, std::move(job), "finishFile");
}

napi_value copy_all_attributes(napi_env env, napi_callback_info info) {
  Arguments arguments;
  auto job = std::make_unique<CopyAttributes>();
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], job->from)) return nullptr;
  if (!to_descriptor(env, arguments.at[1], job->to)) return nullptr;
  return start_job(env, std::move(job), "copyAttributes");
}

}  // namespace

bool Finish::is_wanted(const std::string& name) const {
  for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
    if (name.compare(prefix.size(), std::string::npos, pairs[i]) == 0) return true;
  }
  return false;
}

void Finish::run(Job& job) const {
  std::string attributes;
  replace(job, attributes);
  // Filesystems without attributes, kernel files and some network filesystems.
  const bool unsupported = job.error == ENOTSUP || job.error == EPERM || job.error == EACCES || job.error == ENOSYS;
  if (unsupported) {
    job.error = 0;
    attributes.assign(4, 0);
  }
  put_state(job, job.result, unsupported);
  job.result += attributes;
  if (sync && job.error == 0 && fsync(descriptor) < 0 && errno != EINVAL) job.fail("close", errno);
  if (!sync && close(descriptor) < 0 && job.error == 0) job.fail("close", errno);
}

// The kernel's clock for files ticks every 10 ms at worst. A time of modification from the finer one is the only one
// of its kind, so that what others write next leaves another one.
void Finish::set_time() const {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const timespec times[2] = {{0, UTIME_OMIT}, now};
  futimens(descriptor, times);
}

void Finish::put_state(Job& job, std::string& out, bool unsupported) const {
  struct stat status {};
  if (stamp) set_time();
  if (fstat(descriptor, &status) < 0 && job.error == 0) job.fail("close", errno);
  put_version(out, status);
  put_integer(out, unsupported ? 1 : 0, 4);
}

void Finish::replace(Job& job, std::string& attributes) const {
  const Subject subject{descriptor, nullptr};
  std::vector<std::string> names;
  if (!attribute_names(subject, prefix, names)) return job.fail("flistxattr", errno);
  for (const std::string& name : names) {
    if (!keep_attributes && !is_wanted(name) && fremovexattr(descriptor, name.c_str()) < 0 && errno != ENODATA)
      return job.fail("fremovexattr", errno);
  }
  for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
    const std::string name = prefix + pairs[i];
    const std::string& value = pairs[i + 1];
    if (fsetxattr(descriptor, name.c_str(), value.data(), value.size(), 0) < 0) return job.fail("fsetxattr", errno);
  }
  put_attributes(attributes, subject, prefix);
}

bool put_attributes(std::string& out, const Subject& subject, std::string_view prefix) {
  std::vector<std::string> names;
  const bool known = attribute_names(subject, prefix, names);
  const size_t count_at = out.size();
  put_integer(out, 0, 4);
  uint32_t count = 0;
  std::string value;
  for (const std::string& name : names) {
    if (!attribute_value(subject, name, value)) continue;
    put_text(out, std::string_view(name).substr(prefix.size()));
    put_text(out, value);
    count++;
  }
  for (size_t i = 0; i < 4; i++) out[count_at + i] = static_cast<char>(count >> (8 * i));
  return known;
}

int copy_attributes(int from, int to, std::string_view prefix) {
  const Subject subject{from, nullptr};
  std::vector<std::string> names;
  if (!attribute_names(subject, prefix, names)) return is_refusal(errno) ? 0 : errno;
  std::string value;
  for (const std::string& name : names) {
    if (!attribute_value(subject, name, value)) continue;
    if (fsetxattr(to, name.c_str(), value.data(), value.size(), 0) < 0 && !is_refusal(errno)) return errno;
  }
  return 0;
}

void register_attributes(napi_env env, napi_value exports) {
  export_function(env, exports, "finishFile", finish_file);
  export_function(env, exports, "copyAttributes", copy_all_attributes);
}

}  // namespace envd
