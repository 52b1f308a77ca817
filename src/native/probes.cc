#include "probes.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "descriptor.h"
#include "thread.h"

namespace envd {

namespace {

using Patience = std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Filesystems that are asked at a time, each by a thread with one descriptor: who makes more dead mounts has the others
// left out, and takes no more.
constexpr size_t max_probes = 64;
// One that takes longer may not answer at all.
constexpr Patience slow{1000};
// With more of those than a machine has by accident, the others are waited for less long.
constexpr size_t many_slow = 4;
constexpr Patience least_patience{50};

// A question to a filesystem that has not been answered.
struct Probe {
  uint64_t device = 0;
  Descriptor place;
  Clock::time_point began = Clock::now();
  bool answered = false;
};

class Probes {
 public:
  bool answers(int place, uint64_t device, Patience patience) {
    std::unique_lock lock(mutex_);
    const size_t stuck = count_slow();
    if (stuck >= many_slow) patience = std::max(patience / 10, least_patience);
    std::shared_ptr<Probe> probe;
    // All that do not answer are no reason to wait for others.
    const auto deadline = stuck == max_probes ? Clock::now() : Clock::now() + patience;
    const auto found = [&] { return (probe = find(device)) != nullptr || running_.size() < max_probes; };
    if (!changed_.wait_until(lock, deadline, found)) return false;
    if (probe == nullptr && (probe = start(place, device)) == nullptr) return false;
    return changed_.wait_until(lock, probe->began + patience, [&] { return probe->answered; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Probe>> running_;

  size_t count_slow() const {
    const auto before = Clock::now() - slow;
    return static_cast<size_t>(
        std::count_if(running_.begin(), running_.end(), [&](const auto& probe) { return probe->began < before; }));
  }

  std::shared_ptr<Probe> find(uint64_t device) const {
    const auto same = [&](const auto& probe) { return probe->device == device; };
    const auto found = std::find_if(running_.begin(), running_.end(), same);
    return found == running_.end() ? nullptr : *found;
  }

  // Null: there are no descriptors or threads left.
  std::shared_ptr<Probe> start(int place, uint64_t device) {
    auto probe = std::make_shared<Probe>();
    probe->device = device;
    probe->place.reset(fcntl(place, F_DUPFD_CLOEXEC, 0));
    auto* holder = new std::shared_ptr<Probe>(probe);
    if (!probe->place.valid() || start_thread(run, holder) != 0) {
      delete holder;
      return nullptr;
    }
    running_.push_back(probe);
    return probe;
  }

  static void* run(void* data);

  void ask(const std::shared_ptr<Probe>& probe) {
    ask_filesystem(probe->place.get());
    // May wait, too.
    probe->place.reset();
    const std::lock_guard lock(mutex_);
    probe->answered = true;
    std::erase(running_, probe);
    changed_.notify_all();
  }

  // What a walk asks first; a failure is an answer.
  static void ask_filesystem(int place) {
    struct stat status {};
    if (fstat(place, &status) < 0 || !S_ISDIR(status.st_mode)) return;
    const Descriptor directory(openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
    alignas(dirent64) char entries[4096];
    if (directory.valid()) syscall(SYS_getdents64, directory.get(), entries, sizeof entries);
  }
};

// Not destroyed at the end of the process: threads may still use it.
Probes& probes() {
  static auto* all = new Probes;
  return *all;
}

void* Probes::run(void* data) {
  const std::unique_ptr<std::shared_ptr<Probe>> probe(static_cast<std::shared_ptr<Probe>*>(data));
  probes().ask(*probe);
  return nullptr;
}

}  // namespace

bool ask_mount(int place, uint64_t device, Patience patience) { return probes().answers(place, device, patience); }

}  // namespace envd
