// Fuzzes the reading of what a spawn is asked to do: JavaScript values of any type, made as they are asked for, as
// getters could.
#include "../../../src/native/spawn-spec.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iterator>
#include <string_view>

struct napi_value__ {
  napi_valuetype type = napi_undefined;
  bool list = false;
  bool bytes = false;
  double number = 0;
  std::string text;
};

namespace {

const uint8_t* at;
size_t left;
bool thrown;
// Where a value stays until the end of its run.
std::deque<napi_value__> values;

uint64_t take(size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes && left > 0; i++, left--) value = value << 8 | *at++;
  return value;
}

std::string text(uint64_t limit) {
  std::string bytes;
  for (uint64_t length = take(1) % limit; length > 0 && left > 0; length--) bytes.push_back(static_cast<char>(take(1)));
  return bytes;
}

double number() {
  constexpr double edges[] = {-0.0, 0.5, NAN, INFINITY, -0x1p63, 0x1p31, 0x1p32, 0x1p53, 0x1p63, 0x1p64};
  const uint64_t shape = take(1);
  if (shape > 230) return edges[take(1) % std::size(edges)];
  const uint64_t bits = shape < 200 ? take(1) : take(8);
  if (bits < 256) return static_cast<double>(bits) - 2;
  double any = 0;
  std::memcpy(&any, &bits, sizeof any);
  return any;
}

napi_value make() {
  napi_value__& value = values.emplace_back();
  const uint64_t kind = take(1) % 8;
  constexpr napi_valuetype types[] = {napi_undefined, napi_number, napi_boolean, napi_string,
                                      napi_object,    napi_object, napi_object,  napi_null};
  value.type = types[kind];
  value.list = kind == 5;
  value.bytes = kind == 6;
  if (kind == 1 || kind == 2) value.number = number();
  if (kind == 5) value.number = static_cast<double>(take(1) % 40);
  if (kind == 3 || kind == 6) value.text = text(80);
  return &value;
}

napi_value make_expected(std::string_view name) {
  // Mostly what is asked for, so that reading goes on.
  if (take(1) % 8 == 0) return make();
  napi_value__& value = values.emplace_back();
  const auto is = [&](auto... names) { return ((name == names) || ...); };
  if (is("args", "env", "stdio", "groups", "descriptors")) {
    value.type = napi_object;
    value.list = true;
    value.number = name == "stdio" ? 3 : static_cast<double>(take(1) % 12);
  } else if (is("file", "cwd")) {
    value.type = napi_string;
    value.text = text(40);
  } else if (is("terminal")) {
    value.type = napi_boolean;
    value.number = static_cast<double>(take(1) & 1);
  } else if (is("user", "deposit")) {
    value.type = napi_object;
  } else if (is("message")) {
    value.type = napi_object;
    value.bytes = true;
    value.text.assign(take(1) % 64, 'm');
  } else {
    value.type = napi_number;
    value.number = number();
  }
  return &value;
}

napi_status when(bool holds, napi_status otherwise) { return holds ? napi_ok : otherwise; }

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "spawn-spec: %s\n", what);
  std::abort();
}

// What the child relies on.
void check_plan(const envd::SpawnSpec& spec) {
  const envd::ChildPlan& plan = spec.plan;
  size_t words = 0;
  for (; plan.argv[words] != nullptr; words++) check(std::strlen(plan.argv[words]) < 100, "an argument without an end");
  check(words == spec.args.size() + 1, "arguments are missing");
  for (size_t i = 0; plan.envp[i] != nullptr; i++)
    check(std::strlen(plan.envp[i]) <= spec.env[i].size(), "a variable without an end");
  check(plan.group_count == spec.groups.size(), "groups are missing");
  check(plan.deposit.count <= envd::keeper_descriptors, "too many descriptors");
  if (plan.search_path == nullptr) return;
  check(spec.candidate.size() >= std::strlen(plan.search_path) + std::strlen(plan.file) + 2, "no room for a candidate");
}

}  // namespace

extern "C" {

napi_status napi_get_named_property(napi_env, napi_value object, const char* name, napi_value* result) {
  if (object->type != napi_object) return napi_object_expected;
  *result = make_expected(name);
  return napi_ok;
}

napi_status napi_get_element(napi_env, napi_value object, uint32_t, napi_value* result) {
  if (object->type != napi_object) return napi_object_expected;
  napi_value__& value = values.emplace_back();
  const uint64_t kind = take(1);
  if (kind == 0) return *result = make(), napi_ok;
  // Lists are of words or of numbers.
  value.type = (kind & 1) != 0 ? napi_string : napi_number;
  value.number = number();
  if ((kind & 2) != 0) value.text = "PATH=";
  value.text += text(40);
  *result = &value;
  return napi_ok;
}

napi_status napi_typeof(napi_env, napi_value value, napi_valuetype* result) { return *result = value->type, napi_ok; }

napi_status napi_is_array(napi_env, napi_value value, bool* result) { return *result = value->list, napi_ok; }

napi_status napi_get_array_length(napi_env, napi_value value, uint32_t* result) {
  *result = static_cast<uint32_t>(value->number);
  return when(value->list, napi_array_expected);
}

napi_status napi_get_value_double(napi_env, napi_value value, double* result) {
  *result = value->number;
  return when(value->type == napi_number, napi_number_expected);
}

napi_status napi_get_value_bool(napi_env, napi_value value, bool* result) {
  if (value->type != napi_boolean) return napi_boolean_expected;
  *result = value->number > 0;
  return napi_ok;
}

napi_status napi_get_value_string_utf8(napi_env, napi_value value, char* buffer, size_t size, size_t* result) {
  if (value->type != napi_string) return napi_string_expected;
  if (buffer == nullptr) return *result = value->text.size(), napi_ok;
  *result = value->text.copy(buffer, size - 1);
  buffer[*result] = '\0';
  return napi_ok;
}

napi_status napi_get_typedarray_info(napi_env, napi_value value, napi_typedarray_type* type, size_t* length,
                                     void** data, napi_value*, size_t*) {
  if (!value->bytes) return napi_invalid_arg;
  *type = napi_uint8_array;
  *length = value->text.size();
  *data = value->text.data();
  return napi_ok;
}

napi_status napi_is_exception_pending(napi_env, bool* result) { return *result = thrown, napi_ok; }

napi_status napi_throw_type_error(napi_env, const char*, const char*) { return thrown = true, napi_ok; }

napi_status napi_throw_range_error(napi_env, const char*, const char*) { return thrown = true, napi_ok; }

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  at = data;
  left = size;
  thrown = false;
  values.clear();
  napi_value__ object;
  object.type = napi_object;
  envd::SpawnSpec spec;
  int error = 0;
  const bool read = envd::read_spawn_spec(nullptr, &object, spec, error);
  check(read != thrown, "an exception and a result, or neither");
  if (read) check_plan(spec);
  return 0;
}

}
