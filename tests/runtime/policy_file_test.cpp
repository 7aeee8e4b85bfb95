// SPDX-License-Identifier: Apache-2.0
// Policy files: a good one runs; what is no policy, or one for another version or machine, is refused before any of its
// code is mapped. MOE_SAMPLE_POLICY is the path of a good one.
#include <doctest/doctest.h>
#include <elf.h>

#include <cstring>
#include <functional>

#include "tests/runtime/support.h"

namespace moe::test {
namespace {

const std::string& sample() {
  static const std::string bytes = read_file(MOE_SAMPLE_POLICY);
  return bytes;
}

moe_status load(const std::string& bytes) {
  const TempDir dir;
  write_file(dir / "p.so", bytes);
  moe_policy* policy = nullptr;
  const moe_status status = moe_policy_load((dir / "p.so").c_str(), &policy);
  CHECK((policy != nullptr) == (status == MOE_OK));
  if (status != MOE_OK) CHECK(std::string(moe_last_error()).find("p.so: ") != std::string::npos);
  moe_policy_destroy(policy);
  return status;
}

/// The sample with its manifest's text replaced by one of at most the same length.
std::string with_manifest(const std::string& manifest) {
  std::string bytes = sample();
  const size_t owner = bytes.find(std::string("MoEPol\0\0", 8));
  REQUIRE(owner != std::string::npos);
  const size_t text = owner + 8;
  const size_t length = std::strlen(bytes.c_str() + text);
  REQUIRE(manifest.size() <= length);
  bytes.replace(text, length, manifest + std::string(length - manifest.size(), ' '));
  return bytes;
}

template <class T>
void poke(std::string& bytes, size_t offset, T value) {
  REQUIRE(offset + sizeof value <= bytes.size());
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

/// Offset of the first program header of a type.
size_t segment(const std::string& bytes, uint32_t type) {
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  for (size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr one;
    const size_t offset = header.e_phoff + i * sizeof one;
    std::memcpy(&one, bytes.data() + offset, sizeof one);
    if (one.p_type == type) return offset;
  }
  FAIL("no such segment");
  return 0;
}

TEST_CASE("a policy file runs, and outlives its handle in the runtime") {
  Fixture f(lru_params(2, 4, 1, 3), 64);
  moe_policy* policy = nullptr;
  REQUIRE_MESSAGE(moe_policy_load(MOE_SAMPLE_POLICY, &policy) == MOE_OK, moe_last_error());
  CHECK(std::string(moe_policy_manifest(policy)).find("\"sample\"") != std::string::npos);
  REQUIRE(moe_policy_attach(f.get(), policy) == MOE_OK);
  REQUIRE(moe_policy_destroy(policy) == MOE_OK);
  for (int32_t i = 0; i < 20; ++i) {
    moe_plan plan;
    REQUIRE(f.dispatch(static_cast<uint32_t>(i % 2), {i * i % 4}, plan) == MOE_OK);
    REQUIRE(moe_plan_wait(f.get(), &plan, 0, nullptr) == MOE_OK);
    CHECK(f.experts().is(plan.layer, plan.entries[0].expert, plan.entries[0].data));
    REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
  }
  CHECK(f.stats().hits > 0);
}

TEST_CASE("files that are no policy") {
  moe_policy* policy = nullptr;
  CHECK(moe_policy_load("/nowhere.so", &policy) == MOE_IO);
  CHECK(moe_policy_load("/", &policy) == MOE_IO);
  CHECK(load("") == MOE_FORMAT);
  CHECK(load("#!/bin/sh\n") == MOE_FORMAT);
  CHECK(load("\x7f"
             "ELF") == MOE_FORMAT);
  CHECK(load(std::string("\x7f"
                         "ELF") +
             std::string(1000, '\xFF')) == MOE_UNSUPPORTED);
  CHECK(load(std::string("\x7f"
                         "ELF") +
             std::string(1000, '\0')) == MOE_UNSUPPORTED);
  CHECK(load(with_manifest("{}")) != MOE_OK);
}

TEST_CASE("a file that is cut short anywhere is refused") {
  const std::string& whole = sample();
  for (size_t length = 0; length < whole.size(); length += 1 + length / 16) {
    CAPTURE(length);
    const moe_status status = load(whole.substr(0, length));
    CHECK((status == MOE_FORMAT || status == MOE_UNSUPPORTED));
  }
  CHECK(load(whole.substr(0, whole.size() - 1)) == MOE_FORMAT);
}

TEST_CASE("headers and notes that lie") {
  const std::function<void(std::string&)> spoils[] = {
      [](std::string& b) { b[1] = 'e'; },
      [](std::string& b) { b[EI_CLASS] = ELFCLASS32; },
      [](std::string& b) { b[EI_DATA] = ELFDATA2MSB; },
      [](std::string& b) { poke<uint16_t>(b, offsetof(Elf64_Ehdr, e_machine), EM_S390); },
      [](std::string& b) { poke<uint16_t>(b, offsetof(Elf64_Ehdr, e_type), ET_REL); },
      [](std::string& b) { poke<uint64_t>(b, offsetof(Elf64_Ehdr, e_phoff), b.size()); },
      [](std::string& b) { poke<uint64_t>(b, offsetof(Elf64_Ehdr, e_phoff), UINT64_MAX - 8); },
      [](std::string& b) { poke<uint64_t>(b, offsetof(Elf64_Ehdr, e_shoff), b.size()); },
      [](std::string& b) { poke<uint16_t>(b, offsetof(Elf64_Ehdr, e_phnum), 0); },
      [](std::string& b) { poke<uint16_t>(b, offsetof(Elf64_Ehdr, e_phnum), 0xFFFE); },
      [](std::string& b) { poke<uint16_t>(b, offsetof(Elf64_Ehdr, e_phentsize), 8); },
      [](std::string& b) { poke<uint64_t>(b, segment(b, PT_NOTE) + offsetof(Elf64_Phdr, p_offset), UINT64_MAX); },
      [](std::string& b) { poke<uint64_t>(b, segment(b, PT_NOTE) + offsetof(Elf64_Phdr, p_filesz), UINT64_MAX); },
      [](std::string& b) { poke<uint64_t>(b, segment(b, PT_LOAD) + offsetof(Elf64_Phdr, p_filesz), b.size() + 1); },
      [](std::string& b) { poke<uint64_t>(b, segment(b, PT_DYNAMIC) + offsetof(Elf64_Phdr, p_offset), b.size()); },
      [](std::string& b) { b[b.find("MoEPol")] = 'X'; },
      // The note's own sizes: 12 bytes before its owner.
      [](std::string& b) { poke<uint32_t>(b, b.find("MoEPol") - 12, 0xFFFFFFFF); },
      [](std::string& b) { poke<uint32_t>(b, b.find("MoEPol") - 8, 0xFFFFFFFF); },
      [](std::string& b) { poke<uint32_t>(b, b.find("MoEPol") - 8, 0x7FFFFFF0); },
      [](std::string& b) { poke<uint32_t>(b, b.find("MoEPol") - 4, 77); },
  };
  for (size_t i = 0; i < std::size(spoils); ++i) {
    CAPTURE(i);
    std::string bytes = sample();
    spoils[i](bytes);
    const moe_status status = load(bytes);
    CHECK((status == MOE_FORMAT || status == MOE_UNSUPPORTED));
  }
}

TEST_CASE("manifests that do not fit") {
  struct Case {
    const char* manifest;
    moe_status status;
    const char* reason;
  };
  const Case cases[] = {
      {"", MOE_FORMAT, "not JSON"},
      {"[]", MOE_FORMAT, "not a JSON object"},
      {"{}", MOE_UNSUPPORTED, "compiled for decision ABI 0"},
      {R"({"abi":99})", MOE_UNSUPPORTED, "compiled for decision ABI 99"},
      {R"({"abi":"1"})", MOE_FORMAT, "`abi` is not a whole number"},
      {R"({"abi":5,"cpu":"x86-64"})", MOE_FORMAT, "no usable `symbol`"},
      {R"({"abi":5,"symbol":"a b","cpu":"x86-64"})", MOE_FORMAT, "no usable `symbol`"},
      {R"({"abi":5,"symbol":"moe_policy_sample"})", MOE_FORMAT, "no `cpu`"},
      {R"({"abi":5,"symbol":"missing","cpu":"x86-64"})", MOE_FORMAT, "has no symbol `missing`"},
      {R"({"abi":5,"symbol":"s","cpu":"i9","features":["+x3"]})", MOE_UNSUPPORTED, "lacks `x3`"},
      {R"({"abi":5,"symbol":"s","cpu":"i9"})", MOE_UNSUPPORTED, "is unknown"},
      {R"({"abi":5,"symbol":"s","cpu":"i9","features":7})", MOE_FORMAT, "`features` is not"},
      {R"({"abi":5,"symbol":"moe_policy_sample","cpu":"i9","features":"+sse2,-x3"})", MOE_OK, ""},
      {R"({"abi":5,"symbol":"moe_policy_sample","cpu":"x86-64-v2"})", MOE_OK, ""},
  };
  for (const Case& one : cases) {
    CAPTURE(one.manifest);
    CHECK(load(with_manifest(one.manifest)) == one.status);
    if (one.status)
      CHECK_MESSAGE(std::string(moe_last_error()).find(one.reason) != std::string::npos, moe_last_error());
  }
}

}  // namespace
}  // namespace moe::test
