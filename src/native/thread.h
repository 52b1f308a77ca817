// Threads whose end is not waited for.
#pragma once

namespace envd {

// Starts `run(data)` on a thread of its own, which takes no signals: they are for the main thread. 0, or the errno.
int start_thread(void* (*run)(void*), void* data);

}  // namespace envd
