#include "pieces.h"

#include <time.h>

#include "job.h"

namespace envd {

namespace {

constexpr size_t length_bytes = 4;
constexpr int64_t max_work_ms = 100;

int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

}  // namespace

Pieces::Pieces(std::string& out, size_t limit)
    : out_(out), limit_(out.size() + limit), deadline_ms_(now_ms() + max_work_ms) {}

bool Pieces::full() const { return out_.size() >= limit_ || now_ms() >= deadline_ms_; }

void Pieces::put(Piece kind, std::string_view text) {
  end();
  put_integer(out_, static_cast<uint64_t>(kind), 4);
  put_text(out_, text);
}

std::string& Pieces::bytes() {
  if (open_ == 0) {
    put_integer(out_, static_cast<uint64_t>(Piece::bytes), 4);
    open_ = out_.size();
    put_integer(out_, 0, length_bytes);
  }
  return out_;
}

void Pieces::end() {
  const size_t length = out_.size() - open_ - length_bytes;
  for (size_t i = 0; open_ != 0 && i < length_bytes; i++) out_[open_ + i] = static_cast<char>(length >> (8 * i));
  open_ = 0;
}

}  // namespace envd
