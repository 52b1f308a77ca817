// Puts a directory in the place of another one in one step.
#pragma once

#include <sys/types.h>

#include <string>

#include "descriptor.h"

namespace envd {

// Lets a directory and the one that has `name` beside it change places. An O_PATH descriptor of what has the name `made`
// then, for `remove_opened`; not valid with errno set, and all as it was: ENOTDIR for what is no directory, ESTALE for
// one of another owner than it should have. Another one of the same owner may stand there meanwhile: calls that replace
// the same directory at the same time all succeed.
Descriptor change_places(int parent, const std::string& made, const std::string& name, uid_t owner);

}  // namespace envd
