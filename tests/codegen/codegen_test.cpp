// SPDX-License-Identifier: Apache-2.0
// Properties of generated code. LLVM IR is never compared as text: it is searched for what must and must not be there.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "codegen/compiler.h"
#include "codegen/kernel_class.h"
#include "codegen/program.h"
#include "replay/kernel_engine.h"
#include "tests/decision/random_policy.h"

namespace {

using namespace moe;

ir::BoundPolicy small_policy(ir::Eviction eviction) {
  ir::BoundPolicy policy;
  policy.name = "small";
  policy.shape = {4, 16, 2, 0};
  policy.eviction = eviction;
  policy.capacity = 20;
  policy.metrics = {"hit_rate"};
  return policy;
}

constexpr ir::Eviction kRules[] = {
    ir::Eviction::lru,  ir::Eviction::lfu,       ir::Eviction::score,   ir::Eviction::freq_threshold,
    ir::Eviction::fifo, ir::Eviction::sieve,     ir::Eviction::s3_fifo, ir::Eviction::arc,
    ir::Eviction::lirs, ir::Eviction::w_tinylfu, ir::Eviction::random};

std::string generated(const ir::BoundPolicy& policy, codegen::Artifact artifact, const codegen::Options& options = {}) {
  Result<std::string> result = codegen::generate(policy, artifact, options);
  REQUIRE_MESSAGE(result.ok(), (result.ok() ? "" : result.error().message));
  return std::move(result).value();
}

size_t count(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  return static_cast<size_t>(
      std::distance(std::sregex_iterator(text.begin(), text.end(), expression), std::sregex_iterator()));
}

/// Decisions of one engine over a seeded trace, as one comparable value.
std::vector<std::optional<ir::Decision>> decide_all(replay::KernelEngine& engine, const ir::ModelShape& shape) {
  test::Dice dice(7);
  std::vector<std::optional<ir::Decision>> decisions;
  const auto trace = test::random_trace(dice, shape, 400);
  for (const test::RandomDispatch& step : trace) {
    ir::DispatchInput input;
    input.layer = step.layer;
    input.num_tokens = step.num_tokens;
    input.top_k = shape.top_k;
    input.ids = step.ids;
    input.weights = step.weights;
    input.allow_padding = step.allow_padding;
    decisions.push_back(engine.decide(input));
  }
  return decisions;
}

}  // namespace

TEST_CASE("policies find the kernels of their class, and take the whole ones where they have none") {
  const auto class_of = [](const ir::BoundPolicy& policy) {
    const codegen::Program program(policy);
    return codegen::class_of(program.params, program.has_changes);
  };
  const size_t whole = codegen::kernel_bitcode(nullptr).size();
  ir::BoundPolicy bare = small_policy(ir::Eviction::lru);
  ir::BoundPolicy plain = bare;
  plain.ttl = 50;
  ir::BoundPolicy in_turn = bare;
  in_turn.protect_selected = false;
  REQUIRE(class_of(bare) != nullptr);
  REQUIRE(class_of(plain) != nullptr);
  CHECK(class_of(bare) != class_of(plain));
  CHECK(class_of(in_turn) == nullptr);
  CHECK(codegen::kernel_bitcode(class_of(bare)).size() < whole / 10);
  CHECK(codegen::kernel_bitcode(class_of(bare)).size() < codegen::kernel_bitcode(class_of(plain)).size());
  for (const codegen::KernelClass& each : codegen::kernel_classes()) {
    CHECK(codegen::kernel_bitcode(&each).size() < whole / 2);
    CHECK(codegen::kernel_bitcode(&each).substr(0, 2) == "BC");
  }
}

TEST_CASE("the constants fold into the kernel") {
  for (ir::Eviction rule : kRules) {
    CAPTURE(ir::to_word(rule));
    const std::string llvm = generated(small_policy(rule), codegen::Artifact::llvm);
    CHECK(count(llvm, "load [^\n]*@params") == 0);  // read at compile time, not at run time
    CHECK(count(llvm, "\ndefine ") >= 1);
    CHECK(count(llvm, "call [^\n]*@moe_kernel_") == 0);  // inlined
    CHECK(count(llvm, "call [^\n]*@_Z") == 0);  // and all that it is made of: constants are not followed into calls
  }
}

TEST_CASE("code outside takes no part in a dispatch: nothing is called but memory intrinsics") {
  for (ir::Eviction rule : kRules) {
    CAPTURE(ir::to_word(rule));
    const std::string llvm = generated(small_policy(rule), codegen::Artifact::llvm);
    CHECK(count(llvm, "\ndeclare [^\n]*@(?!llvm\\.|moe_phase_)") == 0);
    CHECK(count(llvm, "\\binvoke\\b|landingpad|atomicrmw|cmpxchg|\\bfence\\b") == 0);
  }
}

TEST_CASE("a*b+c keeps its two roundings") {
  ir::BoundPolicy policy = small_policy(ir::Eviction::score);
  codegen::Options options;
  options.cpu = "x86-64-v3";  // has FMA
  const std::string llvm = generated(policy, codegen::Artifact::llvm, options);
  CHECK(count(llvm, "llvm\\.fma|llvm\\.fmuladd") == 0);
  CHECK(count(llvm, "f(mul|add|sub|div) (fast|contract|reassoc|nnan|ninf|nsz|arcp|afn)") == 0);
  CHECK(count(generated(policy, codegen::Artifact::assembly, options), "vfn?m(add|sub)") == 0);
}

TEST_CASE("only the descriptor is visible") {
  const std::string llvm = generated(small_policy(ir::Eviction::lfu), codegen::Artifact::llvm);
  CHECK(count(llvm, "\ndefine (?!internal|private)") == 0);
  CHECK(count(llvm, "\n@moe_policy_small = [^\n]*constant") == 1);
}

TEST_CASE("every optimisation level and processor decides alike") {
  for (ir::Eviction rule : kRules) {
    const ir::BoundPolicy policy = small_policy(rule);
    std::vector<std::optional<ir::Decision>> first;
    for (const char* cpu : {"", "x86-64", "x86-64-v2"}) {
      for (int level = 0; level <= 3; ++level) {
        CAPTURE(ir::to_word(rule));
        CAPTURE(cpu);
        CAPTURE(level);
        codegen::Options options;
        options.opt_level = level;
        options.cpu = cpu;
        auto code = codegen::jit(policy, options);
        REQUIRE(code.ok());
        auto engine = replay::KernelEngine::create((*code)->descriptor());
        REQUIRE(engine.ok());
        const auto decisions = decide_all(*engine, policy.shape);
        if (first.empty()) first = decisions;
        REQUIRE(decisions == first);
      }
    }
  }
}

TEST_CASE("a shared library decides as the JIT does, and says what it is") {
  const ir::BoundPolicy policy = small_policy(ir::Eviction::score);
  const std::string library = generated(policy, codegen::Artifact::shared_library);
  const std::string path =
      (std::filesystem::temp_directory_path() / ("moe-codegen-test-" + std::to_string(getpid()) + ".so")).string();
  std::ofstream(path, std::ios::binary) << library;
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  std::filesystem::remove(path);
  REQUIRE_MESSAGE(handle != nullptr, (handle != nullptr ? "" : dlerror()));
  const auto* descriptor = static_cast<const decision::Descriptor*>(dlsym(handle, "moe_policy_small"));
  REQUIRE(descriptor != nullptr);
  CHECK(descriptor->struct_size == sizeof(decision::Descriptor));
  CHECK(descriptor->abi_version == decision::kAbiVersion);
  const nlohmann::json manifest = nlohmann::json::parse(descriptor->manifest);
  CHECK(manifest["symbol"] == "moe_policy_small");
  CHECK(manifest["cpu"] == "x86-64-v2");
  CHECK(manifest["total_capacity"] == 20);
  CHECK(library.find(descriptor->manifest) != std::string::npos);

  auto code = codegen::jit(policy, {});
  REQUIRE(code.ok());
  auto from_library = replay::KernelEngine::create(*descriptor);
  auto from_jit = replay::KernelEngine::create((*code)->descriptor());
  REQUIRE(from_library.ok());
  REQUIRE(from_jit.ok());
  CHECK(decide_all(*from_library, policy.shape) == decide_all(*from_jit, policy.shape));
  dlclose(handle);
}

TEST_CASE("a processor that LLVM does not know is an error that names another") {
  codegen::Options options;
  options.cpu = "pentium-9000";
  const Result<std::string> result =
      codegen::generate(small_policy(ir::Eviction::lru), codegen::Artifact::assembly, options);
  REQUIRE(!result.ok());
  CHECK(result.error().kind == Error::Kind::invalid);
  CHECK(result.error().message.find("pentium-9000") != std::string::npos);
  CHECK(result.error().message.find("x86-64-v2") != std::string::npos);
}

TEST_CASE("--print-after shows the module after each step") {
  for (std::string_view step : codegen::step_names()) {
    std::string seen;
    codegen::Options options;
    options.print_after = std::string(step);
    options.print = [&seen](std::string_view text) { seen += text; };
    std::vector<codegen::StepTime> times;
    options.times = &times;
    generated(small_policy(ir::Eviction::lru), codegen::Artifact::llvm, options);
    const char* const there = step == "read-kernels" ? "@moe_kernel_lru" : "@moe_policy_small";
    CHECK(seen.find(there) != std::string::npos);
    CHECK(times.size() == codegen::step_names().size());
  }
}
