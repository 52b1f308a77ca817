// Packs what is known about one entry of a directory, for native/entries.ts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mounts.h"

namespace envd {

// What follows the facts about an entry.
enum LinkState : uint8_t { no_link = 0, leads_somewhere = 1, broken_link = 2, does_not_answer = 3 };

// Appends the facts about one entry; of a mount point whose filesystem fails or does not answer, those that the kernel
// knows, without attributes. Returns 0 or an errno, with nothing appended then.
int put_entry(std::string& out, const Listed& directory, const std::string& name, const std::string& path,
              std::string_view prefix);

}  // namespace envd
