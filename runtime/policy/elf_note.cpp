// SPDX-License-Identifier: Apache-2.0
#include "runtime/policy/elf_note.h"

#include <elf.h>

#include <cstring>
#include <optional>

#include "runtime/decision/abi.h"

namespace moe {
namespace {

constexpr uint64_t kMaxManifestBytes = 1u << 20;

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
#else
constexpr uint16_t kMachine = EM_NONE;
#endif

/// Every read is checked against the file's end.
class Elf {
 public:
  Elf(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  Result<std::string_view> policy_note() {
    if (Result<void> good = read_header(); !good) return good.error();
    if (Result<void> good = read_segments(); !good) return good.error();
    if (!note_) return wrong("has no policy note: not made by `moec compile -o p.so`");
    return *note_;
  }

 private:
  Error wrong(const std::string& reason) const { return {Error::Kind::format, file_ + ": " + reason}; }

  bool inside(uint64_t offset, uint64_t size) const {
    return offset <= bytes_.size() && size <= bytes_.size() - offset;
  }

  template <class T>
  std::optional<T> at(uint64_t offset) const {
    if (!inside(offset, sizeof(T))) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }

  Result<void> read_header() {
    if (bytes_.substr(0, SELFMAG) != std::string_view(ELFMAG, SELFMAG)) return wrong("not an ELF file");
    const auto header = at<Elf64_Ehdr>(0);
    if (!header) return wrong("ends inside the ELF header");
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB) {
      return Error{Error::Kind::unsupported, file_ + ": not a 64-bit little-endian ELF file"};
    }
    if (header->e_machine != kMachine) {
      return Error{Error::Kind::unsupported,
                   file_ + ": made for another processor (ELF machine " + std::to_string(header->e_machine) + ")"};
    }
    if (header->e_type != ET_DYN) return wrong("not a shared library");
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 || header->e_phnum == PN_XNUM) {
      return wrong("has no usable program headers");
    }
    if (!inside(header->e_phoff, uint64_t{header->e_phnum} * sizeof(Elf64_Phdr))) {
      return wrong("program headers at byte " + std::to_string(header->e_phoff) + " go beyond the end of the file");
    }
    // Not needed to load it, but it lies at the end: a file that is cut short anywhere is found out here.
    if (header->e_shoff != 0 && !inside(header->e_shoff, uint64_t{header->e_shnum} * sizeof(Elf64_Shdr))) {
      return wrong("section headers at byte " + std::to_string(header->e_shoff) +
                   " go beyond the end of the file: it is cut short");
    }
    header_ = *header;
    return {};
  }

  Result<void> read_segments() {
    for (uint64_t i = 0; i < header_.e_phnum; ++i) {
      const uint64_t offset = header_.e_phoff + i * sizeof(Elf64_Phdr);
      const Elf64_Phdr segment = *at<Elf64_Phdr>(offset);
      const bool matters = segment.p_type == PT_LOAD || segment.p_type == PT_NOTE || segment.p_type == PT_DYNAMIC;
      if (!matters) continue;
      if (!inside(segment.p_offset, segment.p_filesz)) {
        return wrong("the segment at byte " + std::to_string(segment.p_offset) +
                     " goes beyond the end of the file: it is cut short");
      }
      if (segment.p_type != PT_NOTE) continue;
      if (Result<void> good = read_notes(segment); !good) return good;
    }
    return {};
  }

  /// A segment is a row of notes: three words, the owner, the text, each padded.
  Result<void> read_notes(const Elf64_Phdr& segment) {
    const uint64_t align = segment.p_align == 8 ? 8 : 4;
    auto padded = [align](uint64_t size) { return (size + align - 1) & ~(align - 1); };
    const uint64_t end = segment.p_offset + segment.p_filesz;
    for (uint64_t offset = segment.p_offset; offset < end;) {
      if (end - offset < sizeof(Elf64_Nhdr)) return {};  // padding
      const auto note = *at<Elf64_Nhdr>(offset);
      const uint64_t owner_at = offset + sizeof(Elf64_Nhdr);
      const uint64_t text_at = owner_at + padded(note.n_namesz);
      if (note.n_namesz > end - owner_at || text_at > end || note.n_descsz > end - text_at) {
        return wrong("the note at byte " + std::to_string(offset) + " goes beyond its segment");
      }
      const std::string_view owner = bytes_.substr(owner_at, note.n_namesz);
      const bool ours = owner == std::string_view(decision::kNoteOwner, sizeof decision::kNoteOwner);
      if (ours && note.n_type == decision::kNoteType) return take(bytes_.substr(text_at, note.n_descsz));
      offset = text_at + padded(note.n_descsz);
    }
    return {};
  }

  Result<void> take(std::string_view text) {
    if (note_) return wrong("has two policy notes");
    if (text.size() > kMaxManifestBytes) {
      return wrong("the policy note has " + std::to_string(text.size()) + " bytes, more than a manifest can have");
    }
    while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
    note_ = text;
    return {};
  }

  std::string_view bytes_;
  const std::string& file_;
  Elf64_Ehdr header_{};
  std::optional<std::string_view> note_;
};

}  // namespace

Result<std::string_view> find_policy_note(std::string_view elf, const std::string& file) {
  return Elf(elf, file).policy_note();
}

}  // namespace moe
