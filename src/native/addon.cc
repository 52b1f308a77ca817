// The module's entry. What each function does is documented in its typed face, index.ts.
#include "registration.h"

NAPI_MODULE_INIT() {
  envd::register_spawn(env, exports);
  envd::register_descriptors(env, exports);
  envd::register_poll(env, exports);
  envd::register_terminal(env, exports);
  envd::register_pidfd(env, exports);
  envd::register_session(env, exports);
  envd::register_system(env, exports);
  envd::register_files(env, exports);
  envd::register_attributes(env, exports);
  envd::register_remove(env, exports);
  envd::register_open(env, exports);
  envd::register_stage(env, exports);
  envd::register_beside(env, exports);
  envd::register_link(env, exports);
  envd::register_tree(env, exports);
  envd::register_tree_task(env, exports);
  envd::register_copy_tree(env, exports);
  envd::register_change_tree(env, exports);
  envd::register_measure_tree(env, exports);
  envd::register_unpack(env, exports);
  envd::register_unpack_large(env, exports);
  envd::register_replace(env, exports);
  envd::register_watches(env, exports);
  envd::register_listening(env, exports);
  envd::register_filesystem_freeze(env, exports);
  envd::register_peer(env, exports);
  envd::register_cached(env, exports);
  envd::register_random(env, exports);
  envd::register_program_pages(env, exports);
  envd::register_packets(env, exports);
  envd::register_kept_read(env, exports);
  return exports;
}
