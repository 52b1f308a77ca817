// Reads output into memory that outlives the process (memfd_create(2), MAP_SHARED), so that every byte that was taken
// from a pipe or terminal is found there, whenever the process is killed. src/process/output-layout.ts says the same
// of the layout.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "registration.h"
#include "values.h"

namespace envd {

namespace {

constexpr size_t intent_at = 64;
constexpr size_t slots_at = 4096;
constexpr size_t slot_bytes = 64;
constexpr size_t slots = 65536;
constexpr size_t table_at = slots_at + slots * slot_bytes;
constexpr size_t slabs = 32768;
constexpr size_t control_bytes = table_at + slabs * sizeof(uint32_t);
constexpr uint32_t streams = 3;

// The read that is under way. `slab`: its number and 1, or 0 for none.
struct Intent {
  uint32_t slab;
  uint32_t at;
  uint32_t asked;
  // All that was asked for was there, so that less is not read.
  uint32_t exact;
};

struct Slot {
  double offsets[streams];
  double input;
  double columns;
  double rows;
  double generation;
  double order;
};
static_assert(sizeof(Slot) == slot_bytes);

// Before the bytes of each chunk.
struct Chunk {
  uint32_t key;
  uint32_t generation;
  uint32_t length;
  uint32_t stream;
  double offset;
  double order;
};
static_assert(sizeof(Chunk) == 32);

// In the place of bytes that are to come: none of them is in text of UTF-8.
constexpr uint8_t mark[] = {0xfb, 0xf9, 0xff, 0xf8, 0xfd, 0xfa, 0xfe, 0xfc,
                            0xf9, 0xfd, 0xfb, 0xf8, 0xfc, 0xff, 0xfa, 0xfe};
constexpr size_t mark_bytes = sizeof mark;

void put_marks(uint8_t* bytes, size_t from, size_t to) {
  for (size_t i = from; i < to; i++) bytes[i] = mark[i % mark_bytes];
}

// The kernel sees what was stored before it ends the process; only the compiler could store in another order.
void in_order() { std::atomic_signal_fence(std::memory_order_seq_cst); }

struct Target {
  uint8_t* control;
  uint8_t* slab;
  uint32_t number;
  size_t at;
  size_t most;
  uint32_t key;
  uint32_t stream;
};

Slot& slot_of(const Target& target) {
  return *reinterpret_cast<Slot*>(target.control + slots_at + target.key * slot_bytes);
}

// A terminal counts only a part of what can be read from it.
size_t prepare(int descriptor, const Target& target, Intent& intent) {
  int waiting = 0;
  const bool exact = target.stream != 2 && ioctl(descriptor, FIONREAD, &waiting) == 0;
  // With nothing there the answer is the end, or bytes that arrive meanwhile.
  const size_t asked = exact ? std::min(target.most, static_cast<size_t>(std::max(waiting, 1))) : target.most;
  Chunk& chunk = *reinterpret_cast<Chunk*>(target.slab + target.at);
  const Slot& slot = slot_of(target);
  const auto generation = static_cast<uint32_t>(slot.generation);
  chunk = {target.key, generation, 0, target.stream, slot.offsets[target.stream], slot.order};
  uint8_t* const bytes = target.slab + target.at + sizeof(Chunk);
  put_marks(bytes, exact && asked > mark_bytes ? asked - mark_bytes : 0, asked);
  intent.at = static_cast<uint32_t>(target.at);
  intent.asked = static_cast<uint32_t>(asked);
  intent.exact = exact ? 1 : 0;
  in_order();
  intent.slab = target.number + 1;
  in_order();
  return asked;
}

// Whatever of it was done already is the same when it is done again.
void commit(const Target& target, size_t length) {
  Chunk& chunk = *reinterpret_cast<Chunk*>(target.slab + target.at);
  Slot& slot = slot_of(target);
  chunk.length = static_cast<uint32_t>(length);
  in_order();
  const size_t end = target.at + sizeof(Chunk) + (length + 7) / 8 * 8;
  reinterpret_cast<uint32_t*>(target.control + table_at)[target.number] = static_cast<uint32_t>(end);
  slot.offsets[target.stream] = chunk.offset + static_cast<double>(length);
  slot.order = chunk.order + 1;
  in_order();
}

bool to_target(napi_env env, const Arguments& arguments, Target& target) {
  std::string_view control;
  std::string_view slab;
  int64_t number = 0;
  int64_t at = 0;
  int64_t most = 0;
  int64_t place = 0;
  if (!to_view(env, arguments.at[1], "control", control) || !to_view(env, arguments.at[2], "slab", slab)) return false;
  if (!to_integer(env, arguments.at[3], "number", 0, slabs - 1, number)) return false;
  const auto room = static_cast<int64_t>(slab.size()) - static_cast<int64_t>(sizeof(Chunk));
  if (!to_integer(env, arguments.at[4], "at", 0, room - 1, at)) return false;
  if (!to_integer(env, arguments.at[5], "most", 1, room - at, most)) return false;
  if (!to_integer(env, arguments.at[6], "place", 0, slots * streams - 1, place)) return false;
  if (control.size() != control_bytes || at % 8 != 0) {
    napi_throw_type_error(env, nullptr, "control or at is not of the layout");
    return false;
  }
  const auto start = [](std::string_view view) { return reinterpret_cast<uint8_t*>(const_cast<char*>(view.data())); };
  const auto key_and_stream = static_cast<uint32_t>(place);
  target.control = start(control);
  target.slab = start(slab);
  target.number = static_cast<uint32_t>(number);
  target.at = static_cast<size_t>(at);
  target.most = static_cast<size_t>(most);
  target.key = key_and_stream / streams;
  target.stream = key_and_stream % streams;
  return true;
}

napi_value read_kept(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  Target target{};
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (!to_target(env, arguments, target)) return nullptr;
  Intent& intent = *reinterpret_cast<Intent*>(target.control + intent_at);
  const size_t asked = prepare(descriptor, target, intent);
  ssize_t length = 0;
  do length = read(descriptor, target.slab + target.at + sizeof(Chunk), asked);
  while (length < 0 && errno == EINTR);
  const int error = errno;
  in_order();
  if (length > 0) commit(target, static_cast<size_t>(length));
  intent.slab = 0;
  return from_integer(env, length < 0 ? -error : length);
}

void unmap(napi_env, void* start, void* length) { munmap(start, reinterpret_cast<size_t>(length)); }

napi_value map_memory(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  int64_t offset = 0;
  int64_t length = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (!to_integer(env, arguments.at[1], "offset", 0, INT64_C(1) << 40, offset)) return nullptr;
  if (!to_integer(env, arguments.at[2], "length", 1, INT32_MAX, length)) return nullptr;
  struct stat status {};
  if (fstat(descriptor, &status) < 0) return throw_errno(env, "fstat", errno);
  // Beyond its end there is nothing but SIGBUS.
  if (status.st_size < offset + length) return throw_errno(env, "mmap", EINVAL);
  const auto size = static_cast<size_t>(length);
  void* start = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, offset);
  if (start == MAP_FAILED) return throw_errno(env, "mmap", errno);
  madvise(start, size, MADV_DONTDUMP);
  napi_value buffer = nullptr;
  if (napi_create_external_arraybuffer(env, start, size, unmap, reinterpret_cast<void*>(size), &buffer) == napi_ok)
    return buffer;
  munmap(start, size);
  return throw_errno(env, "mmap", ENOMEM);
}

napi_value clear_memory(napi_env env, napi_callback_info info) {
  Arguments arguments;
  std::string_view bytes;
  if (!get_arguments(env, info, arguments) || !to_view(env, arguments.at[0], "bytes", bytes)) return nullptr;
  const int result = madvise(const_cast<char*>(bytes.data()), bytes.size(), MADV_REMOVE);
  return from_integer(env, result < 0 ? -errno : 0);
}

}  // namespace

void register_kept_read(napi_env env, napi_value exports) {
  export_function(env, exports, "readKept", read_kept);
  export_function(env, exports, "mapMemory", map_memory);
  export_function(env, exports, "clearMemory", clear_memory);
}

}  // namespace envd
