// How the facts of an entry are packed for native/entries.ts, in one place for all that pack them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "job.h"

namespace envd {

// Grows by one with every change of what `put_facts` or its callers write. ENTRY_LAYOUT in native/entries.ts is the
// same number; a test compares them.
constexpr uint32_t entry_layout = 2;

struct EntryFacts {
  std::string_view name;
  uint64_t mode;
  uint64_t uid;
  uint64_t gid;
  uint64_t size;
  int64_t modified_s;
  uint64_t modified_ns;
};

// Of an entry between its name and the count of its attributes, if it is no link: what `put_facts` writes there, and the
// byte of the state of the link. `takeEntry` in native/entries.ts skips as many.
constexpr size_t fixed_bytes = 33;

// What every entry begins with; the state of its link and its attributes follow.
inline void put_facts(std::string& out, const EntryFacts& facts) {
  put_text(out, facts.name);
  put_integer(out, facts.mode, 4);
  put_integer(out, facts.uid, 4);
  put_integer(out, facts.gid, 4);
  put_integer(out, facts.size, 8);
  put_integer(out, static_cast<uint64_t>(facts.modified_s), 8);
  put_integer(out, facts.modified_ns, 4);
}

}  // namespace envd
