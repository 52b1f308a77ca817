#include "tar-header.h"

#include <string.h>

#include <algorithm>

namespace envd {

namespace {

constexpr size_t max_name_bytes = 100;
// A zero follows it.
constexpr size_t max_owner_bytes = 31;
// What seven and eleven octal digits hold.
constexpr uint64_t max_id = 07777777, max_number = 077777777777;
constexpr std::string_view attribute_key = "SCHILY.xattr.";

// Bytes of a sequence that begins with that byte; 0: none does.
size_t sequence_length(unsigned char byte) {
  if (byte < 0x80) return 1;
  if (byte < 0xc2) return 0;
  return byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 0;
}

// RFC 3629, without overlong forms and surrogates.
bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const auto byte = [&](size_t index) { return static_cast<unsigned char>(text[at + index]); };
    const size_t length = sequence_length(byte(0));
    if (length == 0 || at + length > text.size()) return false;
    for (size_t index = 1; index < length; index++) {
      if ((byte(index) & 0xc0) != 0x80) return false;
    }
    if (byte(0) == 0xe0 && byte(1) < 0xa0) return false;
    if (byte(0) == 0xed && byte(1) > 0x9f) return false;
    if (byte(0) == 0xf0 && byte(1) < 0x90) return false;
    if (byte(0) == 0xf4 && byte(1) > 0x8f) return false;
    at += length;
  }
  return true;
}

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char byte) { return byte <= 0x7e; });
}

// `LENGTH KEY=VALUE\n`, where the length counts itself.
void put_record(std::string& out, std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + 1;
  while (rest + std::to_string(length).size() != length) length = rest + std::to_string(length).size();
  out.append(std::to_string(length)).append(" ").append(key).append("=").append(value).append("\n");
}

// As GNU tar writes names of attributes: `=` would end the key.
std::string attribute_record_key(std::string_view name) {
  std::string key(attribute_key);
  for (const char byte : name) {
    if (byte == '=') key += "%3D";
    else if (byte == '%') key += "%25";
    else key += byte;
  }
  return key;
}

void put_decimal(char* at, size_t digits, uint64_t value) {
  for (size_t index = digits; index > 0; index--, value /= 10) at[index - 1] = static_cast<char>('0' + value % 10);
}

std::string time_text(const timespec& time) {
  // Nanoseconds count forwards, also before 1970.
  const bool borrowed = time.tv_sec < 0 && time.tv_nsec != 0;
  const int64_t seconds = borrowed ? time.tv_sec + 1 : time.tv_sec;
  const long nanoseconds = borrowed ? 1000000000 - time.tv_nsec : time.tv_nsec;
  std::string text = (borrowed && seconds == 0 ? "-" : "") + std::to_string(seconds);
  if (nanoseconds != 0) {
    char fraction[] = ".000000000";
    put_decimal(fraction + 1, 9, static_cast<uint64_t>(nanoseconds));
    text.append(fraction);
    text.resize(text.find_last_not_of('0') + 1);
  }
  return text;
}

std::string records_of(const TarHeader& header, std::string_view name) {
  std::string records;
  const bool plain = is_plain(name) && is_plain(header.link);
  // Without this readers take names for UTF-8.
  if (!plain && !(is_utf8(name) && is_utf8(header.link))) put_record(records, "hdrcharset", "BINARY");
  if (header.real_size >= 0) {
    put_record(records, "GNU.sparse.major", "1");
    put_record(records, "GNU.sparse.minor", "0");
    put_record(records, "GNU.sparse.name", name);
    put_record(records, "GNU.sparse.realsize", std::to_string(header.real_size));
  } else if (name.size() > max_name_bytes || !is_plain(name)) {
    put_record(records, "path", name);
  }
  if (header.link.size() > max_name_bytes || !is_plain(header.link)) put_record(records, "linkpath", header.link);
  if (header.size > max_number) put_record(records, "size", std::to_string(header.size));
  if (header.status.st_uid > max_id) put_record(records, "uid", std::to_string(header.status.st_uid));
  if (header.status.st_gid > max_id) put_record(records, "gid", std::to_string(header.status.st_gid));
  const timespec& time = header.status.st_mtim;
  const bool outside = time.tv_sec < 0 || static_cast<uint64_t>(time.tv_sec) > max_number;
  if (outside || time.tv_nsec != 0) put_record(records, "mtime", time_text(time));
  for (const auto& [name, value] : header.attributes) put_record(records, attribute_record_key(name), value);
  return records;
}

void put_octal(char* at, size_t digits, uint64_t value) {
  for (size_t index = digits; index > 0; index--, value >>= 3) at[index - 1] = static_cast<char>('0' + (value & 7));
}

void put_block(std::string& out, const TarHeader& header) {
  char block[tar_block_bytes] = {};
  const struct stat& status = header.status;
  header.name.copy(block, max_name_bytes);
  put_octal(block + 100, 7, status.st_mode & 07777);
  put_octal(block + 108, 7, std::min<uint64_t>(status.st_uid, max_id));
  put_octal(block + 116, 7, std::min<uint64_t>(status.st_gid, max_id));
  put_octal(block + 124, 11, header.size > max_number ? 0 : header.size);
  const bool inside = status.st_mtim.tv_sec >= 0 && static_cast<uint64_t>(status.st_mtim.tv_sec) <= max_number;
  put_octal(block + 136, 11, inside ? static_cast<uint64_t>(status.st_mtim.tv_sec) : 0);
  memset(block + 148, ' ', 8);
  block[156] = header.flag;
  header.link.copy(block + 157, max_name_bytes);
  memcpy(block + 257, "ustar\0" "00", 8);
  header.owners.find('u', status.st_uid).copy(block + 265, max_owner_bytes);
  header.owners.find('g', status.st_gid).copy(block + 297, max_owner_bytes);
  unsigned sum = 0;
  for (const char byte : block) sum += static_cast<unsigned char>(byte);
  put_octal(block + 148, 6, sum);
  block[154] = 0;
  out.append(block, sizeof block);
}

}  // namespace

std::string_view OwnerNames::find(char kind, uint32_t id) const {
  constexpr size_t head_bytes = 6;
  for (size_t at = 0; at + head_bytes <= packed.size();) {
    const auto byte = [&](size_t index) { return static_cast<unsigned char>(packed[at + index]); };
    const uint32_t number = byte(1) | byte(2) << 8 | byte(3) << 16 | static_cast<uint32_t>(byte(4)) << 24;
    const std::string_view name = packed.substr(at + head_bytes, byte(5));
    if (packed[at] == kind && number == id) return name;
    at += head_bytes + name.size();
  }
  return {};
}

void put_tar_header(std::string& out, const TarHeader& described) {
  TarHeader header = described;
  const std::string records = records_of(header, described.name);
  // What readers that know no holes call what they then get.
  std::string sparse_name = "GNUSparseFile.0/";
  if (header.real_size >= 0) {
    header.name = sparse_name.append(described.name.substr(described.name.rfind('/') + 1));
  }
  if (!records.empty()) {
    struct stat status = header.status;
    status.st_mode = 0644;
    // Whose owners have no names: readers look at those of the entry.
    put_block(out, {"././@PaxHeader", "", 'x', records.size(), status, header.attributes});
    out.append(records).append(tar_padding(records.size()), '\0');
  }
  put_block(out, header);
}

}  // namespace envd
