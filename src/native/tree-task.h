// Work on a whole tree, on a thread of its own: how far it is, and that it is to end.
#pragma once

#include <node_api.h>
#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace envd {

// Shared by the thread that works and by JavaScript, which looks at it.
struct TreeTask {
  std::atomic<bool> cancelled{false};
  std::atomic<uint64_t> files{0};
  std::atomic<uint64_t> directories{0};
  std::atomic<uint64_t> links{0};
  std::atomic<uint64_t> bytes{0};
  // Of them, those that share their place on the disk with what they were copied from.
  std::atomic<uint64_t> shared{0};
  std::atomic<uint64_t> left_out{0};
  // That works on it; 0: none yet.
  std::atomic<pid_t> thread{0};

  // Waits until JavaScript has taken what was put before. False: cancelled.
  bool put(std::string_view item);
  // Counts an entry that is left out, and keeps its path while there is room for it.
  void leave_out(std::string_view path);
  // Which path a failure is about; the first one counts.
  void blame(std::string_view path);
  // Which path is looked at, for a failure to get any further: of a directory, or of a name in it. For each entry, and
  // so in the memory of the one before.
  void look_at(std::string_view directory, std::string_view name = {});
  // The name of something that could not be removed.
  void leave_behind(std::string_view path);
  void cancel();
  // The numbers in their order and the time that the thread has spent on a processor, 8 bytes each, then the texts:
  // what was put, paths that were left out, blame, what was left behind, what is looked at. What was put is taken.
  std::string take_state();

 private:
  std::mutex mutex_;
  std::condition_variable room_;
  std::string output_;
  std::string left_out_paths_;
  std::string blamed_;
  std::string looked_at_;
  std::string left_behind_;
};

// Takes the task that `createTreeTask` has made. False: an exception is pending.
bool to_tree_task(napi_env env, napi_value value, std::shared_ptr<TreeTask>& task);

}  // namespace envd
