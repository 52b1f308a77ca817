// The parts of the addon. Each .cc file offers one function that adds its functions to the addon's exports; addon.cc
// calls them all. A new part needs a line here and a line there; scripts/build-native compiles every .cc file of this
// directory.
#pragma once

#include <node_api.h>

namespace envd {

void register_spawn(napi_env env, napi_value exports);
void register_descriptors(napi_env env, napi_value exports);
void register_poll(napi_env env, napi_value exports);
void register_terminal(napi_env env, napi_value exports);
void register_pidfd(napi_env env, napi_value exports);
void register_session(napi_env env, napi_value exports);
void register_system(napi_env env, napi_value exports);
void register_files(napi_env env, napi_value exports);
void register_attributes(napi_env env, napi_value exports);
void register_remove(napi_env env, napi_value exports);
void register_open(napi_env env, napi_value exports);
void register_name_file(napi_env env, napi_value exports);
void register_make_directories(napi_env env, napi_value exports);
void register_stage(napi_env env, napi_value exports);
void register_beside(napi_env env, napi_value exports);
void register_link(napi_env env, napi_value exports);
void register_tree(napi_env env, napi_value exports);
void register_tree_task(napi_env env, napi_value exports);
void register_copy_tree(napi_env env, napi_value exports);
void register_change_tree(napi_env env, napi_value exports);
void register_measure_tree(napi_env env, napi_value exports);
void register_unpack(napi_env env, napi_value exports);
void register_unpack_large(napi_env env, napi_value exports);
void register_replace(napi_env env, napi_value exports);
void register_watches(napi_env env, napi_value exports);
void register_watch_tree(napi_env env, napi_value exports);
void register_listening(napi_env env, napi_value exports);
void register_filesystem_freeze(napi_env env, napi_value exports);
void register_peer(napi_env env, napi_value exports);
void register_cached(napi_env env, napi_value exports);
void register_random(napi_env env, napi_value exports);
void register_program_pages(napi_env env, napi_value exports);
void register_packets(napi_env env, napi_value exports);
void register_kept_read(napi_env env, napi_value exports);
void register_file_calls(napi_env env, napi_value exports);
void register_move_calls(napi_env env, napi_value exports);

}  // namespace envd
