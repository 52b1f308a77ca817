// What one piece of work has made of an archive, as `readTree` (native/tree.ts) returns it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <string_view>

namespace envd {

enum class Piece : uint32_t {
  // Of the archive.
  bytes,
  // An entry that the caller archives: its facts, its path, and its content unless it is large.
  large,
  linked,
  // The path of an entry, or of a directory with all in it, that could not be archived.
  left_out,
  // The path of a directory whose header was written and that is yet to be read. First those in the directory whose
  // names are left, then `other`: the others, in their order.
  found,
  other,
  // The path of the directory that names are left of, and these.
  rest,
};

// Appends pieces, each with its kind and length before it; bytes of the archive that follow each other are one.
class Pieces {
 public:
  // Full with so many bytes, or after a tenth of a second: on a slow disk the caller has what there is, and can end it.
  Pieces(std::string& out, size_t limit);
  bool full() const;
  void put(Piece kind, std::string_view text);
  // Where bytes of the archive are appended to.
  std::string& bytes();
  // To be called once, after the last piece.
  void end();

 private:
  std::string& out_;
  const size_t limit_;
  const int64_t deadline_ms_;
  // Where the length of the open piece of bytes stands; 0: none is open.
  size_t open_ = 0;
};

}  // namespace envd
