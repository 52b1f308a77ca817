#include "values.h"

#include <cmath>
#include <cstring>

namespace envd {

namespace {

bool refuse(napi_env env, const std::string& message) {
  // A getter or a proxy may already have thrown; its exception is the better one.
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message.c_str());
  return false;
}

}  // namespace

bool get_arguments(napi_env env, napi_callback_info info, Arguments& arguments) {
  size_t count = max_arguments;
  return napi_get_cb_info(env, info, &count, arguments.at, &arguments.self, &arguments.data) == napi_ok;
}

bool to_integer(napi_env env, napi_value value, const char* name, int64_t min, int64_t max, int64_t& result) {
  double number = 0;
  const bool fits = napi_get_value_double(env, value, &number) == napi_ok && std::trunc(number) == number &&
                    number >= static_cast<double>(min) && number <= static_cast<double>(max) && number < 0x1p63;
  if (!fits) {
    return refuse(env,
                  std::string(name) + " must be an integer from " + std::to_string(min) + " to " + std::to_string(max));
  }
  result = static_cast<int64_t>(number);
  return true;
}

bool to_descriptor(napi_env env, napi_value value, int& result) {
  int64_t number = 0;
  if (!to_integer(env, value, "descriptor", 0, INT32_MAX, number)) return false;
  result = static_cast<int>(number);
  return true;
}

bool to_id(napi_env env, napi_value value, const char* name, uint32_t& result) {
  int64_t number = 0;
  if (!to_integer(env, value, name, 0, int64_t{UINT32_MAX} - 1, number)) return false;
  result = static_cast<uint32_t>(number);
  return true;
}

bool to_boolean(napi_env env, napi_value value, const char* name, bool& result) {
  if (napi_get_value_bool(env, value, &result) == napi_ok) return true;
  return refuse(env, std::string(name) + " must be a boolean");
}

bool to_function(napi_env env, napi_value value, const char* name) {
  napi_valuetype type = napi_undefined;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_function) return true;
  return refuse(env, std::string(name) + " must be a function");
}

bool to_string(napi_env env, napi_value value, const char* name, std::string& result) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) {
    return refuse(env, std::string(name) + " must be a string");
  }
  result.resize(length);
  // The terminator goes to data()[length], which a std::string keeps for one.
  return napi_get_value_string_utf8(env, value, result.data(), length + 1, &length) == napi_ok;
}

bool array_length(napi_env env, napi_value value, const char* name, uint32_t& result) {
  bool is_array = false;
  if (napi_is_array(env, value, &is_array) == napi_ok && is_array &&
      napi_get_array_length(env, value, &result) == napi_ok) {
    return true;
  }
  return refuse(env, std::string(name) + " must be an array");
}

bool to_strings(napi_env env, napi_value value, const char* name, std::vector<std::string>& result) {
  uint32_t length = 0;
  if (!array_length(env, value, name, length)) return false;
  for (uint32_t index = 0; index < length; index++) {
    napi_value element = nullptr;
    if (napi_get_element(env, value, index, &element) != napi_ok) return refuse(env, name);
    if (!to_string(env, element, name, result.emplace_back())) return false;
  }
  return true;
}

bool to_bytes(napi_env env, const napi_value (&buffer_offset_length)[3], Bytes& result) {
  napi_typedarray_type type = napi_int8_array;
  size_t size = 0;
  void* start = nullptr;
  if (napi_get_typedarray_info(env, buffer_offset_length[0], &type, &size, &start, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array) {
    return refuse(env, "buffer must be a Uint8Array");
  }
  const auto limit = static_cast<int64_t>(size);
  int64_t offset = 0;
  int64_t length = 0;
  if (!to_integer(env, buffer_offset_length[1], "offset", 0, limit, offset)) return false;
  if (!to_integer(env, buffer_offset_length[2], "length", 0, limit - offset, length)) return false;
  // An empty or detached array may have no memory at all.
  if (start == nullptr) result = {nullptr, 0};
  else result = {static_cast<uint8_t*>(start) + offset, static_cast<size_t>(length)};
  return true;
}

bool to_view(napi_env env, napi_value value, const char* name, std::string_view& result) {
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", (std::string(name) + " must be a Uint8Array").c_str());
    return false;
  }
  result = data == nullptr ? std::string_view() : std::string_view(static_cast<const char*>(data), length);
  return true;
}

bool to_path(napi_env env, napi_value value, std::string& result) {
  std::string_view path;
  if (!to_view(env, value, "path", path)) return false;
  result = path;
  if (result.find('\0') == std::string::npos) return true;
  throw_errno(env, "path", EINVAL);
  return false;
}

bool is_undefined(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  return napi_typeof(env, value, &type) == napi_ok && type == napi_undefined;
}

napi_value from_integer(napi_env env, int64_t value) {
  napi_value result = nullptr;
  napi_create_int64(env, value, &result);
  return result;
}

napi_value from_string(napi_env env, const char* value) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &result);
  return result;
}

napi_value from_boolean(napi_env env, bool value) {
  napi_value result = nullptr;
  napi_get_boolean(env, value, &result);
  return result;
}

napi_value from_pair(napi_env env, napi_value first, napi_value second) {
  napi_value result = nullptr;
  napi_create_array_with_length(env, 2, &result);
  napi_set_element(env, result, 0, first);
  napi_set_element(env, result, 1, second);
  return result;
}

const char* error_name(int error) {
  const char* name = strerrorname_np(error);
  return name == nullptr ? "EUNKNOWN" : name;
}

napi_value throw_errno(napi_env env, const char* call, int error) {
  const std::string message = std::string(call) + ": " + error_name(error);
  napi_throw_error(env, error_name(error), message.c_str());
  return nullptr;
}

void raise_pending_exception(napi_env env) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  napi_value exception = nullptr;
  if (pending && napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
}

void export_function(napi_env env, napi_value exports, const char* name, napi_callback function, void* data) {
  napi_value value = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, function, data, &value);
  napi_set_named_property(env, exports, name, value);
}

}  // namespace envd
