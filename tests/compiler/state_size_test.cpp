// SPDX-License-Identifier: Apache-2.0
// What is said of a native policy's state is what its code takes.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <fmt/format.h>

#include <array>

#include "runtime/decision/state.h"
#include "tests/compiler/standard_policies.h"

namespace moe::test {
namespace {

codegen::StateSize size_of(const ir::BoundPolicy& policy) {
  const Result<codegen::StateSize> size = codegen::state_size(policy);
  REQUIRE(size.ok());
  return *size;
}

ir::BoundPolicy bound(const std::string& text, const ir::ModelShape& shape) {
  ir::Diagnostics diagnostics;
  compiler::Target target;
  target.shape = shape;
  auto policy = compiler::compile_to_bound(ir::SourceFile("x.moe", text), target, diagnostics);
  REQUIRE(policy.has_value());
  return std::move(*policy);
}

TEST_CASE("the size of the state is that of the block that an engine allocates") {
  for (const StandardPolicy& policy : native_standard_policies({9, 32, 4, 2048})) {
    CAPTURE(policy.name);
    codegen::Options options;
    options.opt_level = 0;
    const auto code = codegen::jit(policy.bound, options);
    REQUIRE(code.ok());
    const codegen::StateSize size = size_of(policy.bound);
    CHECK(size.bytes == decision::state_bytes(*(*code)->descriptor().params));
    CHECK(size.predictors < size.bytes);
  }
}

TEST_CASE("predictors: the tables that the documentation says they have") {
  constexpr ir::ModelShape kShape{6, 64, 2, 0};
  constexpr size_t kKeys = 6 * 64;
  const std::string cache = "policy p { cache { capacity = 25%  eviction = lru } ";
  CHECK(size_of(bound(cache + "}", kShape)).predictors == 0);
  // Of each layer a bit for each expert and dispatch of the window; of each expert a count and its last use; and what
  // each layer has seen, in whole lines of 64 bytes. And while it names candidates a number for each expert of a layer.
  const size_t history =
      size_of(bound(cache + "prefetch { strategy = history  history_window = 40 } }", kShape)).predictors;
  CHECK(history == 6 * 40 * 8 + kKeys * (4 + 8) + 64 + 64 * 8);
  // The last 1000 requests, and this one, in binary64, are nearly all of it.
  const size_t sequence = size_of(bound(cache + "prefetch { strategy = sequence  store = 1000 } }", kShape)).predictors;
  CHECK(sequence > 1001 * kKeys * 8);
  CHECK(sequence < 1001 * kKeys * 8 * 11 / 10);
}

TEST_CASE("a policy without native code has no such size") {
  std::string text = "policy p { cache { capacity = 25%  eviction = lru } adapt {";  // 2^7 combinations of rules
  for (int i = 1; i <= 7; ++i) {
    text += fmt::format(" when batch > {} {{ {} }} revert", i * 10,
                        std::array{"eviction = lfu", "ttl = 90", "admit = never", "protect_selected = false",
                                   "budget = 2", "capacity = 12", "max_loads = 2"}[static_cast<size_t>(i) - 1]);
  }
  const auto policy = bound(text + " } prefetch { strategy = history } }", {6, 64, 2, 0});
  const Result<codegen::StateSize> size = codegen::state_size(policy);
  REQUIRE_FALSE(size.ok());
  CHECK(size.error().kind == Error::Kind::unsupported);
}

}  // namespace
}  // namespace moe::test
