// Pseudo terminals: posix_openpt(3), ioctl_tty(2).
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "registration.h"
#include "values.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

namespace envd {

namespace {

bool get_size(napi_env env, napi_value columns, napi_value rows, winsize& size) {
  int64_t width = 0;
  int64_t height = 0;
  if (!to_integer(env, columns, "columns", 0, UINT32_MAX, width)) return false;
  if (!to_integer(env, rows, "rows", 0, UINT32_MAX, height)) return false;
  size = {};
  size.ws_col = static_cast<unsigned short>(width & 0xffff);
  size.ws_row = static_cast<unsigned short>(height & 0xffff);
  return true;
}

// TIOCGPTPEER (Linux 4.13) needs no path, so it is right even if /dev/pts is another instance or not mounted here.
int open_slave(int master) {
  constexpr int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
  const int slave = ioctl(master, TIOCGPTPEER, flags);
  if (slave >= 0) return slave;
  char path[64];
  if (const int error = ptsname_r(master, path, sizeof path); error != 0) {
    errno = error;
    return -1;
  }
  return open(path, flags);
}

// A new terminal takes input for bytes; with IUTF8 the erase character takes a whole UTF-8 character back, as in the
// terminals of sshd(8) and terminal emulators. Returns whether it worked, with errno set if not.
bool set_utf8(int terminal) {
  termios attributes{};
  if (tcgetattr(terminal, &attributes) < 0) return false;
  attributes.c_iflag |= IUTF8;
  return tcsetattr(terminal, TCSANOW, &attributes) == 0;
}

// Puts [master, slave] into `ends` and returns 0, or returns the errno with nothing left open.
int open_ends(const winsize& size, int (&ends)[2]) {
  ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (ends[0] < 0) return errno;
  ends[1] = unlockpt(ends[0]) < 0 ? -1 : open_slave(ends[0]);
  if (ends[1] >= 0 && ioctl(ends[0], TIOCSWINSZ, &size) == 0 && set_utf8(ends[1])) return 0;
  const int error = errno;
  if (ends[1] >= 0) close(ends[1]);
  close(ends[0]);
  return error;
}

napi_value open_terminal(napi_env env, napi_callback_info info) {
  Arguments arguments;
  winsize size;
  if (!get_arguments(env, info, arguments) || !get_size(env, arguments.at[0], arguments.at[1], size)) return nullptr;
  int ends[2] = {-1, -1};
  if (const int error = open_ends(size, ends); error != 0) return throw_errno(env, "openpt", error);
  return from_pair(env, from_integer(env, ends[0]), from_integer(env, ends[1]));
}

napi_value resize_terminal(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  winsize size;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  if (!get_size(env, arguments.at[1], arguments.at[2], size)) return nullptr;
  if (ioctl(descriptor, TIOCSWINSZ, &size) < 0) return throw_errno(env, "TIOCSWINSZ", errno);
  return nullptr;
}

}  // namespace

void register_terminal(napi_env env, napi_value exports) {
  export_function(env, exports, "openTerminal", open_terminal);
  export_function(env, exports, "resizeTerminal", resize_terminal);
}

}  // namespace envd
