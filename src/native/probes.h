// Questions to filesystems, each on a thread of its own, as it may never return.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace envd {

// Runs `ask`, or waits for the one with the same key that has not returned yet. False: it has not returned after so
// long, of which only a part is waited where several do not, or cannot be run. What it uses must be its own.
bool ask_within(uint64_t key, std::chrono::milliseconds patience, std::function<void()> ask);

}  // namespace envd
