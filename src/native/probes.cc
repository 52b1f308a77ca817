#include "probes.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "thread.h"

namespace envd {

namespace {

using Patience = std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Questions at a time, each a thread with one descriptor: who makes more dead mounts has the others left out, and takes
// no more.
constexpr size_t max_probes = 64;
// One that takes longer may not answer at all.
constexpr Patience slow{1000};
// With more of those than a machine has by accident, the others are waited for less long.
constexpr size_t many_slow = 4;
constexpr Patience least_patience{50};

// A question that has not been answered.
struct Probe {
  uint64_t key = 0;
  std::function<void()> ask;
  Clock::time_point began = Clock::now();
  bool answered = false;
};

class Probes {
 public:
  bool answers(uint64_t key, Patience patience, std::function<void()> ask) {
    std::unique_lock lock(mutex_);
    const size_t stuck = count_slow();
    if (stuck >= many_slow) patience = std::max(patience / 10, least_patience);
    std::shared_ptr<Probe> probe;
    // All that do not answer are no reason to wait for others.
    const auto deadline = stuck == max_probes ? Clock::now() : Clock::now() + patience;
    const auto found = [&] { return (probe = find(key)) != nullptr || running_.size() < max_probes; };
    if (!changed_.wait_until(lock, deadline, found)) return false;
    if (probe == nullptr && (probe = start(key, std::move(ask))) == nullptr) return false;
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

  std::shared_ptr<Probe> find(uint64_t key) const {
    const auto same = [&](const auto& probe) { return probe->key == key; };
    const auto found = std::find_if(running_.begin(), running_.end(), same);
    return found == running_.end() ? nullptr : *found;
  }

  // Null: there are no threads left.
  std::shared_ptr<Probe> start(uint64_t key, std::function<void()> ask) {
    auto probe = std::make_shared<Probe>();
    probe->key = key;
    probe->ask = std::move(ask);
    auto* holder = new std::shared_ptr<Probe>(probe);
    if (start_thread(run, holder) != 0) {
      delete holder;
      return nullptr;
    }
    running_.push_back(probe);
    return probe;
  }

  static void* run(void* data);

  void work_on(const std::shared_ptr<Probe>& probe) {
    probe->ask();
    // With what it has open, which may wait, too.
    probe->ask = nullptr;
    const std::lock_guard lock(mutex_);
    probe->answered = true;
    std::erase(running_, probe);
    changed_.notify_all();
  }
};

// Not destroyed at the end of the process: threads may still use it.
Probes& probes() {
  static auto* all = new Probes;
  return *all;
}

void* Probes::run(void* data) {
  const std::unique_ptr<std::shared_ptr<Probe>> probe(static_cast<std::shared_ptr<Probe>*>(data));
  probes().work_on(*probe);
  return nullptr;
}

}  // namespace

bool ask_within(uint64_t key, Patience patience, std::function<void()> ask) {
  return probes().answers(key, patience, std::move(ask));
}

}  // namespace envd
