// SPDX-License-Identifier: Apache-2.0
// A live run decides as the kernel alone does, bit for bit, as long as each plan is released before the next dispatch
// and the policy cancels nothing: mechanism leaves no trace in the decisions. And a plan that is used in order never
// waits for ever, whatever the policy evicts under it.
#include <doctest/doctest.h>

#include "runtime/core/instance.h"
#include "runtime/hints.h"
#include "tests/runtime/random_policy.h"
#include "tests/runtime/support.h"

namespace moe::test {
namespace {

/// The kernel by itself, fed with what the runtime is fed with.
class Kernel {
 public:
  explicit Kernel(const decision::Params& p, const moe_model_shape& shape)
      : params_(p), instance_(std::move(*static_policy(p, "kernel")), 512, Allocator()), hints_(shape, Allocator()) {}

  Hints& hints() { return hints_; }
  decision::Output decide(const moe_dispatch_args& args) {
    decision::Input input{};
    input.layer = args.layer;
    input.num_tokens = args.num_tokens;
    input.top_k = args.top_k;
    input.ids = args.ids;
    input.weights = args.weights;
    input.hints = hints_.take();
    decision::Output output = instance_.output();
    REQUIRE(instance_.decide(input, output) == decision::kOk);
    hints_.use_up(args.layer);
    return output;
  }
  void check(const moe_plan& plan, const decision::Output& output) const {
    REQUIRE(plan.num_entries == output.num_entries);
    for (uint32_t i = 0; i < plan.num_entries; ++i) {
      const moe_plan_entry& entry = plan.entries[i];
      CHECK(entry.expert == output.expert[i]);
      CHECK((entry.action == MOE_ACTION_LATE ? uint32_t{decision::kHit} : entry.action) == output.action[i]);
      CHECK(entry.num_selections == output.num_selections[i]);
    }
    INFO("evicted");
    check_pairs(plan.evicted, plan.num_evicted, output.evicted, output.num_evicted);
    // What was prefetched and evicted at once was never queued.
    std::vector<uint32_t> queued;
    for (uint32_t i = 0; i < output.num_prefetched; ++i) {
      if (instance_.resident(output.prefetched[i])) queued.push_back(output.prefetched[i]);
    }
    INFO("prefetched");
    check_pairs(plan.prefetched, plan.num_prefetched, queued.data(), static_cast<uint32_t>(queued.size()));
  }

 private:
  void check_pairs(const uint32_t* pairs, uint32_t n, const uint32_t* keys, uint32_t expected) const {
    REQUIRE(n == expected);
    for (uint32_t i = 0; i < n; ++i) CHECK(pairs[2 * i] * params_.num_experts + pairs[2 * i + 1] == keys[i]);
  }
  const decision::Params& params_;
  core::Instance instance_;
  Hints hints_;
};

void use(Random& random, Fixture& f, const moe_plan& plan) {
  const uint32_t used = below(random, 3) == 0 ? below(random, plan.num_entries + 1) : plan.num_entries;
  for (uint32_t i = 0; i < used; ++i) {
    REQUIRE_MESSAGE(moe_plan_wait(f.get(), &plan, i, nullptr) == MOE_OK, moe_last_error());
    REQUIRE(f.experts().is(plan.layer, plan.entries[i].expert, plan.entries[i].data));
    REQUIRE(moe_plan_done(f.get(), &plan, i, nullptr) == MOE_OK);
  }
  REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
}

void compare(uint64_t seed) {
  CAPTURE(seed);
  Random random(seed);
  std::vector<uint32_t> pins;
  decision::Params p = random_policy(random, random_shape(random), pins);
  p.cancel_stale = 0;
  if (seed % 3 == 0) {  // the rule under which hits leave in the dispatch that uses them
    p.eviction = static_cast<uint32_t>(decision::Eviction::freq_threshold);
    p.freq_window = 1 + below(random, 50);
    p.protect_selected = 1;
    p.scope_layer = 0;
    p.capacity = std::min(p.num_keys(), p.num_pins + 1 + below(random, 8));
  }
  // Hits may leave, and a prefetch get their places, while the plan still holds their slots: without protection, and
  // under freq_threshold. That shortage is physical, and such a prefetch is dropped.
  const bool hits_leave =
      !p.protect_selected || p.eviction == static_cast<uint32_t>(decision::Eviction::freq_threshold);
  if (hits_leave) p.strategy = static_cast<uint32_t>(decision::Strategy::none);
  const moe_runtime_config config = config_for(p);
  Fixture f(p, 1 + below(random, 20000), config);
  REQUIRE(f.attach(p) == MOE_OK);
  Kernel kernel(p, config.shape);
  for (uint32_t n = 0; n < 150; ++n) {
    if (below(random, 2) == 0) {
      const std::vector<int32_t> ids = random_routing(random, p, 1);
      const std::vector<float> likely(ids.size(), 0.6f);
      const uint32_t layer = below(random, p.num_layers);
      REQUIRE(moe_hint(f.get(), layer, ids.data(), likely.data(), p.top_k) == MOE_OK);
      REQUIRE(kernel.hints().post(layer, ids.data(), likely.data(), p.top_k) == MOE_OK);
    }
    const std::vector<int32_t> ids = random_routing(random, p, 12);
    moe_dispatch_args args = dispatch_args(p, n % p.num_layers, ids);
    moe_plan plan = empty_plan();
    REQUIRE(moe_dispatch(f.get(), &args, &plan) == MOE_OK);
    kernel.check(plan, kernel.decide(args));
    use(random, f, plan);
  }
}

TEST_CASE("live decisions are the kernel's") {
  for (uint64_t seed = 1; seed <= 200; ++seed) compare(seed);
}

}  // namespace
}  // namespace moe::test
