// SPDX-License-Identifier: Apache-2.0
// The machine code of the standard policies calls nobody but itself, memory functions and the phases that policies
// share, which do likewise; it raises and catches no exception, and makes no system call: read from the object that is
// loaded, from the library that is linked of it, and from their disassembly.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <llvm-c/Disassembler.h>
#include <llvm-c/Target.h>

#include <map>

#include "tests/compiler/elf_object.h"
#include "tests/compiler/standard_policies.h"

namespace moe::test {
namespace {

/// What LLVM may make of copying and clearing.
const std::set<std::string> kMayCall = {"memset", "memcpy", "memmove"};

/// The phases that policies share, which a library has inside.
bool is_phase(const std::string& name) { return name.starts_with("moe_phase_"); }

/// How often each mnemonic of interest occurs: "syscall", "call *" for calls through a pointer, ... A prefix `lock` is
/// an instruction of its own here.
using Found = std::map<std::string, size_t>;

class Disassembler {
 public:
  Disassembler() {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86Disassembler();
    context_ = LLVMCreateDisasmCPUFeatures("x86_64-unknown-linux-gnu", "", "", nullptr, 0, nullptr, nullptr);
    REQUIRE(context_ != nullptr);
  }
  ~Disassembler() { LLVMDisasmDispose(context_); }
  Disassembler(const Disassembler&) = delete;

  /// All of `code` must be instructions.
  Found read(const std::string& code) const {
    Found found;
    std::vector<uint8_t> bytes(code.begin(), code.end());
    char text[256];
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = LLVMDisasmInstruction(context_, bytes.data() + at, bytes.size() - at, at, text, sizeof text);
      CAPTURE(at);
      REQUIRE(size != 0);
      note(text, found);
      at += size;
    }
    return found;
  }

 private:
  static void note(const std::string& text, Found& found) {
    const size_t begin = text.find_first_not_of(" \t");
    const size_t end = text.find_first_of(" \t", begin);
    const std::string mnemonic = text.substr(begin, end - begin);
    ++found["all"];
    for (const char* trap : {"syscall", "sysenter", "int", "int3", "sysret"}) {
      if (mnemonic == trap) ++found[trap];
    }
    if (mnemonic.starts_with("call")) ++found[text.find('*') != std::string::npos ? "call *" : "call"];
    if (text.find("lock") != std::string::npos || mnemonic.starts_with("xchg") || mnemonic == "mfence") ++found["lock"];
  }
  LLVMDisasmContextRef context_;
};

std::string object_of(const ir::BoundPolicy& policy, int opt_level) {
  codegen::Options options;
  options.opt_level = opt_level;
  Result<std::string> object = codegen::compile_object(policy, options);
  REQUIRE_MESSAGE(object.ok(), (object.ok() ? "" : object.error().message));
  return std::move(object).value();
}

/// The library that is linked of `object` has what policies share inside, and that calls nobody either.
void check_library(const Disassembler& disassembler, const ir::BoundPolicy& policy, const std::string& object) {
  const Result<std::string> library = codegen::link_object(policy, object);
  REQUIRE(library.ok());
  for (const std::string& name : ElfObject(*library).undefined()) {
    CAPTURE(name);
    CHECK(kMayCall.contains(name));
  }
  CHECK_FALSE(ElfObject(*library).has_section(".gcc_except_table"));
  Found found;
  for (const std::string& code : ElfObject(*library).code()) {
    for (const auto& [what, count] : disassembler.read(code)) found[what] += count;
  }
  for (const char* never : {"syscall", "sysenter", "int", "sysret", "call *", "lock"}) {
    CAPTURE(never);
    CHECK(found[never] == 0);
  }
}

TEST_CASE("the instruments find what they look for") {
  const Disassembler disassembler;
  using std::string_literals::operator""s;
  const Found found = disassembler.read("\x0f\x05\xcd\x80\xff\xd0\xe8\x00\x00\x00\x00\xf0\x48\xff\x00\xc3"s);
  CHECK(found == Found{{"all", 7}, {"syscall", 1}, {"int", 1}, {"call *", 1}, {"call", 1}, {"lock", 1}});
  // This program's own file calls the C library, and has tables of what to do with exceptions.
  std::ostringstream self;
  self << std::ifstream("/proc/self/exe", std::ios::binary).rdbuf();
  const std::string bytes = self.str();
  const ElfObject program(bytes);
  CHECK(program.undefined().size() > 20);
  CHECK(program.has_section(".gcc_except_table"));
  CHECK_FALSE(program.code().empty());
}

TEST_CASE("a standard policy's code calls only itself and memory functions, and makes no system call") {
  const Disassembler disassembler;
  for (const StandardPolicy& policy : native_standard_policies({27, 64, 6, 17301504})) {
    for (const int level : {0, 2}) {
      CAPTURE(policy.name);
      CAPTURE(level);
      const std::string bytes = object_of(policy.bound, level);
      const ElfObject object(bytes);
      for (const std::string& name : object.undefined()) {
        CAPTURE(name);
        CHECK((kMayCall.contains(name) || is_phase(name)));
      }
      check_library(disassembler, policy.bound, bytes);
      CHECK_FALSE(object.has_section(".gcc_except_table"));
      Found found;
      for (const std::string& code : object.code()) {
        for (const auto& [what, count] : disassembler.read(code)) found[what] += count;
      }
      CHECK(found["all"] > 100);
      for (const char* never : {"syscall", "sysenter", "int", "int3", "sysret", "call *", "lock"}) {
        CAPTURE(never);
        CHECK(found[never] == 0);
      }
    }
  }
}

TEST_CASE("the functions of expressions are left to who loads or links, and a library has them") {
  const ir::SourceFile source("math.moe",
                              "policy p { cache { capacity = 4  eviction = lru "
                              " admit = when(exp(-idle) + log(1 + tokens) + pow(weight, 1.5) > sigmoid(weight)) } }");
  compiler::Target target;
  target.shape = {4, 16, 2, 0};
  ir::Diagnostics diagnostics;
  const std::optional<ir::BoundPolicy> policy = compiler::compile_to_bound(source, target, diagnostics);
  REQUIRE(policy);
  for (const int level : {0, 2}) {
    CAPTURE(level);
    const std::string object = object_of(*policy, level);
    std::set<std::string> left = ElfObject(object).undefined();
    for (const std::string& name : kMayCall) left.erase(name);
    CHECK(left.contains("moe_math_pow"));
    for (const std::string& name : left) CHECK((name.starts_with("moe_math_") || is_phase(name)));
    check_library(Disassembler(), *policy, object);
  }
}

TEST_CASE("a standard policy's code knows no exceptions") {
  for (const StandardPolicy& policy : native_standard_policies({27, 64, 6, 17301504})) {
    for (const int level : {0, 2}) {
      CAPTURE(policy.name);
      codegen::Options options;
      options.opt_level = level;
      const Result<std::string> llvm = codegen::generate(policy.bound, codegen::Artifact::llvm, options);
      REQUIRE(llvm.ok());
      for (const char* never :
           {" invoke ", "landingpad", " resume ", "personality", "atomicrmw", "cmpxchg", "fence "}) {
        CAPTURE(never);
        CHECK(llvm->find(never) == std::string::npos);
      }
      CHECK(llvm->find("\ndefine ") != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace moe::test
