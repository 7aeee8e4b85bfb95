// SPDX-License-Identifier: Apache-2.0
#include "compiler/build_id.h"

#include <elf.h>
#include <link.h>

#include <cstdint>
#include <cstring>

namespace moe::compiler {
namespace {

constexpr size_t padded(size_t size) { return (size + 3) & ~size_t{3}; }

std::string find_note(const char* at, size_t size) {
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, at, sizeof note);
    const size_t whole = sizeof note + padded(note.n_namesz) + padded(note.n_descsz);
    if (whole > size) return "";
    const char* const owner = at + sizeof note;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(owner, "GNU", 4) == 0) {
      std::string text;
      for (size_t i = 0; i < note.n_descsz; ++i) {
        const auto byte = static_cast<uint8_t>(owner[padded(note.n_namesz) + i]);
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
      }
      return text;
    }
    at += whole;
    size -= whole;
  }
  return "";
}

/// For dl_iterate_phdr: stops at the object that holds this function.
int visit(dl_phdr_info* object, size_t, void* out) {
  const auto here = reinterpret_cast<uintptr_t>(&visit);
  bool ours = false;
  std::string found;
  for (size_t i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    const uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD) ours = ours || (here >= begin && here - begin < segment.p_memsz);
    if (segment.p_type == PT_NOTE && found.empty()) {
      found = find_note(reinterpret_cast<const char*>(begin), segment.p_memsz);
    }
  }
  if (!ours) return 0;
  *static_cast<std::string*>(out) = found;
  return 1;
}

}  // namespace

const std::string& build_id() {
  static const std::string& id = *new const std::string([] {  // never destroyed: the thread that compiles asks late
    std::string found;
    dl_iterate_phdr(visit, &found);
    return found;
  }());
  return id;
}

}  // namespace moe::compiler
