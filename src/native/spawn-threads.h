// The threads that spawns run on.
#pragma once

namespace envd {

// Bytes of the stack that the children of one thread use, one after the other.
constexpr unsigned long child_stack_bytes = 64 * 1024;

// What a spawn does on its thread. `stack` is the begin of the child's; null: there was no memory for it.
using SpawnWork = void (*)(void* data, char* stack);

// Runs `work(data, stack)` on a thread where nothing else runs until it has returned: one that has done such work
// before, or a new one. All signals are blocked there. 0, or the errno.
int run_spawn(SpawnWork work, void* data);

}  // namespace envd
