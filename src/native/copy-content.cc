#include "copy-content.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace envd {

namespace {

// Bytes copied between two checks for cancellation.
constexpr size_t kernel_bytes = 8 << 20;
constexpr size_t buffer_bytes = 256 << 10;
// Below, two calls that read and write are quicker than one in the kernel.
constexpr off_t small_bytes = 64 << 10;
// Largest file without a known size, as those of some FUSE filesystems.
constexpr off_t max_unsized_bytes = 64 << 20;
constexpr off_t block_bytes = 512;

bool cannot_in_kernel(int error) {
  return error == EXDEV || error == EINVAL || error == EOPNOTSUPP || error == ENOSYS || error == EPERM;
}

}  // namespace

int ContentCopier::copy(int from, int to, const struct stat& status) {
  if (share(from, to, status)) return 0;
  if (status.st_size > 0 && status.st_blocks * block_bytes < status.st_size)
    return copy_pieces(from, to, status.st_size);
  off_t end = status.st_size > 0 ? status.st_size : max_unsized_bytes;
  return copy_range(from, to, 0, end);
}

bool ContentCopier::share(int from, int to, const struct stat& status) {
  if (status.st_size == 0 || (refused_sharing_ && refused_by_ == status.st_dev)) return false;
  if (ioctl(to, FICLONE, from) < 0) {
    refused_sharing_ = true;
    refused_by_ = status.st_dev;
    return false;
  }
  task_.bytes += static_cast<uint64_t>(status.st_size);
  task_.shared += static_cast<uint64_t>(status.st_size);
  return true;
}

int ContentCopier::copy_pieces(int from, int to, off_t size) {
  for (off_t at = 0; at < size;) {
    off_t start = lseek(from, at, SEEK_DATA);
    if (start < 0 && errno == ENXIO) break;
    if (start < 0) start = at;
    if (start >= size) break;
    off_t end = lseek(from, start, SEEK_HOLE);
    end = end < 0 ? size : std::min(end, size);
    const off_t wanted = end;
    if (const int refused = copy_range(from, to, start, end); refused != 0) return refused;
    if (end < wanted) size = end;
    at = end;
  }
  return ftruncate(to, size) < 0 ? errno : 0;
}

int ContentCopier::copy_range(int from, int to, off_t start, off_t& end) {
  for (off_t at = start; at < end;) {
    if (task_.cancelled) return ECANCELED;
    const ssize_t bytes = copy_some(from, to, at, static_cast<size_t>(end - at));
    if (bytes < 0) return errno;
    if (bytes == 0) end = at;
    at += bytes;
    task_.bytes += static_cast<uint64_t>(bytes);
  }
  return 0;
}

// Bytes that were copied, 0 at the end, or -1 with errno set.
ssize_t ContentCopier::copy_some(int from, int to, off_t at, size_t bytes) {
  if (in_kernel_ && bytes > static_cast<size_t>(small_bytes)) {
    off_t in = at;
    off_t out = at;
    const ssize_t copied = copy_file_range(from, &in, to, &out, std::min(bytes, kernel_bytes), 0);
    if (copied > 0 || (copied < 0 && !cannot_in_kernel(errno))) return copied;
    // Some filesystems return 0 for what they cannot copy.
    if (copied < 0) in_kernel_ = false;
  }
  return through_memory(from, to, at, std::min(bytes, buffer_bytes));
}

ssize_t ContentCopier::through_memory(int from, int to, off_t at, size_t bytes) {
  if (buffer_ == nullptr) buffer_.reset(new char[buffer_bytes]);
  ssize_t length = 0;
  do length = pread(from, buffer_.get(), bytes, at);
  while (length < 0 && errno == EINTR);
  for (ssize_t done = 0; done < length;) {
    const ssize_t written = pwrite(to, buffer_.get() + done, static_cast<size_t>(length - done), at + done);
    if (written < 0 && errno != EINTR) return -1;
    if (written > 0) done += written;
  }
  return length;
}

}  // namespace envd
