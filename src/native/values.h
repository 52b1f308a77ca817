// Conversions between JavaScript values and C++ ones. Every `to_…` function checks its value and, if it does not fit,
// throws a TypeError that names it and returns false; the caller then returns nullptr at once.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace envd {

inline constexpr size_t max_arguments = 9;

// The arguments of a call; missing ones are `undefined`.
struct Arguments {
  napi_value at[max_arguments];
  napi_value self;
  void* data;
};

// A view into the bytes of a Uint8Array; valid until control returns to JavaScript.
struct Bytes {
  uint8_t* start;
  size_t length;
};

bool get_arguments(napi_env env, napi_callback_info info, Arguments& arguments);

bool to_integer(napi_env env, napi_value value, const char* name, int64_t min, int64_t max, int64_t& result);
bool to_descriptor(napi_env env, napi_value value, int& result);
// A user or group id. (uid_t)-1 is refused, because it means "leave as it is" to setresuid(2) and fchown(2).
bool to_id(napi_env env, napi_value value, const char* name, uint32_t& result);
bool to_boolean(napi_env env, napi_value value, const char* name, bool& result);
bool to_function(napi_env env, napi_value value, const char* name);
bool to_string(napi_env env, napi_value value, const char* name, std::string& result);
bool to_strings(napi_env env, napi_value value, const char* name, std::vector<std::string>& result);
// `length` bytes from `offset` of a Uint8Array; both must lie within it.
bool to_bytes(napi_env env, const napi_value (&buffer_offset_length)[3], Bytes& result);
// All bytes of a Uint8Array; valid until control returns to JavaScript.
bool to_view(napi_env env, napi_value value, const char* name, std::string_view& result);
// A path: all bytes of a Uint8Array; one with a NUL byte is refused with EINVAL.
bool to_path(napi_env env, napi_value value, std::string& result);
bool array_length(napi_env env, napi_value value, const char* name, uint32_t& result);

bool is_undefined(napi_env env, napi_value value);

napi_value from_integer(napi_env env, int64_t value);
napi_value from_string(napi_env env, const char* value);
napi_value from_boolean(napi_env env, bool value);
napi_value from_pair(napi_env env, napi_value first, napi_value second);

// The name of an errno, such as ENOENT. Never null.
const char* error_name(int error);
// Throws an Error whose `code` is the errno's name and whose message says which call failed. Returns nullptr.
napi_value throw_errno(napi_env env, const char* call, int error);
// Hands an exception that a callback threw to the process ('uncaughtException'), as no caller is left to catch it.
void raise_pending_exception(napi_env env);

void export_function(napi_env env, napi_value exports, const char* name, napi_callback function, void* data = nullptr);

}  // namespace envd
