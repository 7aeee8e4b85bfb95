// SPDX-License-Identifier: Apache-2.0
// A relocatable x86-64 ELF file's code and what it refers to; read with <elf.h> alone.
#pragma once
#include <doctest/doctest.h>
#include <elf.h>

#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace moe::test {

class ElfObject {
 public:
  explicit ElfObject(const std::string& bytes) : bytes_(bytes) {
    header_ = read<Elf64_Ehdr>(0);
    REQUIRE(std::memcmp(header_.e_ident, ELFMAG, SELFMAG) == 0);
    for (uint16_t i = 0; i < header_.e_shnum; ++i) {
      sections_.push_back(read<Elf64_Shdr>(header_.e_shoff + i * header_.e_shentsize));
    }
  }

  /// Names of symbols that are not defined here.
  std::set<std::string> undefined() const {
    std::set<std::string> names;
    for (const Elf64_Shdr& section : sections_) {
      if (section.sh_type != SHT_SYMTAB) continue;
      const uint64_t strings = sections_[section.sh_link].sh_offset;
      for (uint64_t at = 0; at < section.sh_size; at += sizeof(Elf64_Sym)) {
        const auto symbol = read<Elf64_Sym>(section.sh_offset + at);
        if (symbol.st_shndx == SHN_UNDEF && symbol.st_name != 0)
          names.insert(bytes_.c_str() + strings + symbol.st_name);
      }
    }
    return names;
  }

  /// The bytes of every section that can be executed.
  std::vector<std::string> code() const {
    std::vector<std::string> found;
    for (const Elf64_Shdr& section : sections_) {
      const bool executable = (section.sh_flags & SHF_EXECINSTR) != 0 && section.sh_type == SHT_PROGBITS;
      if (executable) found.push_back(bytes_.substr(section.sh_offset, section.sh_size));
    }
    return found;
  }

  bool has_section(const std::string& name) const {
    const uint64_t strings = sections_[header_.e_shstrndx].sh_offset;
    for (const Elf64_Shdr& section : sections_) {
      if (std::string(bytes_.c_str() + strings + section.sh_name).starts_with(name)) return true;
    }
    return false;
  }

 private:
  template <class T>
  T read(uint64_t offset) const {
    T value;
    REQUIRE(offset + sizeof value <= bytes_.size());
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  const std::string& bytes_;
  Elf64_Ehdr header_;
  std::vector<Elf64_Shdr> sections_;
};

}  // namespace moe::test
