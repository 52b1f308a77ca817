// Sockets that carry descriptors (SCM_RIGHTS in unix(7)), and memory that goes with them (memfd_create(2), F_ADD_SEALS
// in fcntl(2)).
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "descriptor.h"
#include "registration.h"
#include "values.h"

namespace envd {

namespace {

constexpr size_t max_descriptors = 16;
constexpr int64_t max_packet = 65536;
constexpr unsigned memory_flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
// As linux/memfd.h has it; kernels before 6.3 answer EINVAL.
constexpr unsigned no_exec_seal = 8;

struct Control {
  alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(int) * max_descriptors)];
};

bool to_descriptors(napi_env env, napi_value value, std::vector<int>& result) {
  uint32_t length = 0;
  if (!array_length(env, value, "descriptors", length)) return false;
  for (uint32_t index = 0; index < length; index++) {
    napi_value element = nullptr;
    int descriptor = -1;
    if (napi_get_element(env, value, index, &element) != napi_ok || !to_descriptor(env, element, descriptor))
      return false;
    result.push_back(descriptor);
  }
  return true;
}

napi_value socket_peer(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int descriptor = -1;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], descriptor)) return nullptr;
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return from_integer(env, -errno);
  const int flags = fcntl(descriptor, F_GETFD);
  if (flags < 0 || fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) < 0) return from_integer(env, -errno);
  return from_integer(env, peer.pid);
}

napi_value send_packet(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int socket = -1;
  std::string_view bytes;
  std::vector<int> descriptors;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], socket)) return nullptr;
  if (!to_view(env, arguments.at[1], "bytes", bytes) || !to_descriptors(env, arguments.at[2], descriptors))
    return nullptr;
  if (descriptors.size() > max_descriptors) return from_integer(env, -EINVAL);
  Control control{};
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    const size_t length = sizeof(int) * descriptors.size();
    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE(length);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(rights), descriptors.data(), length);
  }
  ssize_t sent = 0;
  do sent = sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return from_integer(env, sent < 0 ? -errno : sent);
}

napi_value send_packets(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int socket = -1;
  std::string_view bytes;
  int64_t size = 0;
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], socket)) return nullptr;
  if (!to_view(env, arguments.at[1], "bytes", bytes)) return nullptr;
  if (!to_integer(env, arguments.at[2], "size", 1, max_packet, size)) return nullptr;
  int64_t count = 0;
  for (; bytes.size() >= static_cast<size_t>(size); bytes.remove_prefix(static_cast<size_t>(size))) {
    ssize_t sent = 0;
    do sent = send(socket, bytes.data(), static_cast<size_t>(size), MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) return from_integer(env, count > 0 ? count : -errno);
    count++;
  }
  return from_integer(env, count);
}

napi_value from_descriptors(napi_env env, msghdr& header) {
  napi_value list = nullptr;
  napi_create_array(env, &list);
  uint32_t index = 0;
  for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr; each = CMSG_NXTHDR(&header, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int descriptor = -1;
      memcpy(&descriptor, CMSG_DATA(each) + i * sizeof(int), sizeof descriptor);
      napi_set_element(env, list, index++, from_integer(env, descriptor));
    }
  }
  return list;
}

napi_value receive_packet(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int socket = -1;
  Bytes bytes{};
  if (!get_arguments(env, info, arguments) || !to_descriptor(env, arguments.at[0], socket)) return nullptr;
  if (!to_bytes(env, {arguments.at[1], arguments.at[2], arguments.at[3]}, bytes)) return nullptr;
  Control control{};
  iovec part{bytes.start, bytes.length};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes;
  header.msg_controllen = sizeof control.bytes;
  ssize_t length = 0;
  do length = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (length < 0 && errno == EINTR);
  napi_value result = nullptr;
  const napi_value parts[] = {from_integer(env, length < 0 ? -errno : length), from_descriptors(env, header),
                              from_boolean(env, length >= 0 && (header.msg_flags & MSG_CTRUNC) != 0)};
  napi_create_array_with_length(env, 3, &result);
  for (uint32_t i = 0; i < 3; i++) napi_set_element(env, result, i, parts[i]);
  return result;
}

int open_memory() {
  const int descriptor = memfd_create("envd", memory_flags | no_exec_seal);
  return descriptor >= 0 || errno != EINVAL ? descriptor : memfd_create("envd", memory_flags);
}

bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

napi_value sealed_memory(napi_env env, napi_callback_info info) {
  Arguments arguments;
  std::string_view bytes;
  if (!get_arguments(env, info, arguments) || !to_view(env, arguments.at[0], "bytes", bytes)) return nullptr;
  Descriptor memory(open_memory());
  if (!memory.valid()) return throw_errno(env, "memfd_create", errno);
  if (fchmod(memory.get(), S_IRUSR | S_IWUSR) < 0) return throw_errno(env, "fchmod", errno);
  if (!write_all(memory.get(), bytes)) return throw_errno(env, "write", errno);
  if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
    return throw_errno(env, "fcntl", errno);
  return from_integer(env, memory.release());
}

napi_value shared_memory(napi_env env, napi_callback_info info) {
  Arguments arguments;
  int64_t length = 0;
  if (!get_arguments(env, info, arguments)) return nullptr;
  if (!to_integer(env, arguments.at[0], "length", 1, INT64_C(1) << 40, length)) return nullptr;
  Descriptor memory(open_memory());
  if (!memory.valid()) return throw_errno(env, "memfd_create", errno);
  if (fchmod(memory.get(), S_IRUSR | S_IWUSR) < 0) return throw_errno(env, "fchmod", errno);
  if (ftruncate(memory.get(), length) < 0) return throw_errno(env, "ftruncate", errno);
  // What is mapped cannot be taken away.
  if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
    return throw_errno(env, "fcntl", errno);
  return from_integer(env, memory.release());
}

}  // namespace

void register_packets(napi_env env, napi_value exports) {
  export_function(env, exports, "socketPeer", socket_peer);
  export_function(env, exports, "sendPacket", send_packet);
  export_function(env, exports, "sendPackets", send_packets);
  export_function(env, exports, "receivePacket", receive_packet);
  export_function(env, exports, "sealedMemory", sealed_memory);
  export_function(env, exports, "sharedMemory", shared_memory);
}

}  // namespace envd
