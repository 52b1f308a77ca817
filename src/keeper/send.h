// Sends messages to daemons.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "launch.h"
#include "protocol.h"

// One message with at most KEEPER_DESCRIPTORS, which stay the caller's. False: it would wait, and nothing was sent. A
// daemon that is gone takes everything.
bool send_message(const struct daemon *to, struct keeper_message message, const int *descriptors, size_t count);
