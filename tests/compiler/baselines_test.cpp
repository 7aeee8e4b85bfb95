// SPDX-License-Identifier: Apache-2.0
// The benchmark's hand-written policies decide, dispatch by dispatch, what compiled policies decide: experts, actions,
// who left and who was fetched. They share no code with the kernels.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include "bench/contender.h"
#include "bench/policies.h"
#include "codegen/compiler.h"

namespace moe::bench {
namespace {

std::unique_ptr<codegen::JitPolicy> compiled(const ir::BoundPolicy& policy) {
  auto jit = codegen::jit(policy, {});
  REQUIRE(jit.ok());
  return std::move(*jit);
}

std::unique_ptr<codegen::JitPolicy> compiled(std::string_view name, const ir::ModelShape& shape) {
  const auto bound = bind_file(path_of_policy(name), shape, /*layer_blind=*/true);
  REQUIRE(bound.ok());
  return compiled(*bound);
}

Result<Summary> compare_with(const codegen::JitPolicy& jit, std::string_view by_hand, const Routing& routing) {
  const ir::ModelShape& shape = routing.shape;
  const Baseline* const baseline = find_baseline(by_hand, shape.num_layers, shape.num_experts, shape.top_k);
  REQUIRE(baseline != nullptr);
  Contender a(*jit.descriptor().params, jit.descriptor().dispatch);
  Contender b(*jit.descriptor().params, *baseline);
  return compare(a, b, routing);
}

constexpr ir::ModelShape kShapes[] = {{32, 8, 2, 0}, {27, 64, 6, 0}, {24, 60, 4, 0}};

}  // namespace

TEST_CASE("policies written by hand decide as compiled ones do") {
  for (const ir::ModelShape& shape : kShapes) {
    const Routing routing = zipf_routing(shape, 150, 50);  // with changes of phase
    for (const char* name : {"lru_basic", "lfu_history", "composed"}) {
      CAPTURE(name);
      CAPTURE(name_of(shape));
      const Result<Summary> both = compare_with(*compiled(name, shape), name, routing);
      REQUIRE_MESSAGE(both.ok(), (both.ok() ? "" : both.error().message));
      CHECK(both->hit_rate > 0.3);
      if (shape.num_experts > 16) CHECK(both->evicted > 0.5);
    }
  }
}

TEST_CASE("one cache for all layers") {
  const Routing routing = skewed_routing(kShapes[1], 150);
  const Result<Summary> both = compare_with(*compiled(bind_rule(ir::Eviction::lru, kShapes[1])), "lru", routing);
  REQUIRE(both.ok());
  CHECK(both->evicted > 0.5);
}

TEST_CASE("another policy is told apart") {
  const Routing routing = zipf_routing(kShapes[1], 150, 0);
  CHECK_FALSE(compare_with(*compiled("lfu_basic", kShapes[1]), "lru_basic", routing).ok());
  CHECK_FALSE(compare_with(*compiled("lru_history", kShapes[1]), "lfu_history", routing).ok());
  CHECK_FALSE(compare_with(*compiled("ttl_only", kShapes[1]), "composed", routing).ok());
}

}  // namespace moe::bench
