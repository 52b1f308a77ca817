// The memory that shows the program's own file: dl_iterate_phdr(3), madvise(2), elf(5).
#include <errno.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "registration.h"
#include "values.h"

namespace envd {

namespace {

// A page that relocations have changed would lose them.
bool has_text_relocations(const dl_phdr_info& program) {
  for (int i = 0; i < program.dlpi_phnum; i++) {
    if (program.dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(program.dlpi_addr + program.dlpi_phdr[i].p_vaddr);
    for (; entry->d_tag != DT_NULL; entry++)
      if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0))
        return true;
  }
  return false;
}

int release_segment(const dl_phdr_info& program, const ElfW(Phdr) & segment) {
  const auto page = static_cast<ElfW(Addr)>(sysconf(_SC_PAGESIZE));
  const ElfW(Addr) start = (program.dlpi_addr + segment.p_vaddr + page - 1) & ~(page - 1);
  const ElfW(Addr) end = (program.dlpi_addr + segment.p_vaddr + segment.p_filesz) & ~(page - 1);
  if (end <= start) return 0;
  return madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED) < 0 ? errno : 0;
}

// The program itself is what comes first; `error` is an int.
int release_first(dl_phdr_info* program, size_t, void* error) {
  if (has_text_relocations(*program)) return 1;
  for (int i = 0; i < program->dlpi_phnum; i++) {
    const ElfW(Phdr)& segment = program->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const int failure = release_segment(*program, segment);
    if (failure != 0) *static_cast<int*>(error) = failure;
  }
  return 1;
}

napi_value release_program_pages(napi_env env, napi_callback_info) {
  int error = 0;
  dl_iterate_phdr(release_first, &error);
  return error == 0 ? nullptr : throw_errno(env, "madvise", error);
}

}  // namespace

void register_program_pages(napi_env env, napi_value exports) {
  export_function(env, exports, "releaseProgramPages", release_program_pages);
}

}  // namespace envd
