// SPDX-License-Identifier: Apache-2.0
// No dispatch of a standard policy allocates, locks or makes a system call: neither the JIT's code, nor libmoe's own
// kernel, nor moe_dispatch around them.
#include <functional>
#include <memory>
#include <random>

#include "runtime/decision/output_arrays.h"
#include "runtime/decision/state.h"
#include "tests/compiler/standard_policies.h"
#include "tests/runtime/counted_calls.h"
#include "tests/runtime/support.h"

namespace moe::test {
namespace {

constexpr ir::ModelShape kShape{9, 32, 4, 2048};
constexpr uint32_t kDispatches = 2000;
constexpr uint32_t kMostTokens = 8;

/// A dispatch with everything that a policy may read.
struct Routed {
  uint32_t layer, num_tokens, phase, request;
  std::vector<int32_t> ids;
  std::vector<float> weights, probabilities;
  std::vector<uint32_t> hinted;  ///< what the next layer is expected to need
  std::vector<float> hint_probabilities;
};

std::vector<Routed> make_routing() {
  std::mt19937 random(4);
  const auto unit = [&] { return static_cast<float>(random() % 1000) / 1000; };
  const auto skewed = [&] { return std::min(random() % kShape.num_experts, random() % kShape.num_experts); };
  std::vector<Routed> all(kDispatches);
  for (uint32_t d = 0; d < kDispatches; ++d) {
    Routed& r = all[d];
    const uint32_t token = d / kShape.num_layers;
    r.layer = d % kShape.num_layers;
    r.num_tokens = token % 20 == 0 ? kMostTokens : 1;
    r.phase = token % 20 == 0 ? 0 : 1;
    r.request = token / 20;
    for (uint32_t t = 0; t < r.num_tokens; ++t) {
      while (r.ids.size() < size_t{t + 1} * kShape.top_k) {
        const auto id = static_cast<int32_t>(skewed());
        if (std::find(r.ids.begin() + t * kShape.top_k, r.ids.end(), id) == r.ids.end()) r.ids.push_back(id);
      }
    }
    for (size_t i = 0; i < r.ids.size(); ++i) r.weights.push_back(unit());
    for (uint32_t i = 0; i < r.num_tokens * kShape.num_experts; ++i) r.probabilities.push_back(unit());
    for (uint32_t i = 0; i < 6; ++i) {
      r.hinted.push_back((static_cast<uint32_t>(r.ids[0]) + i * 5) % kShape.num_experts);
      r.hint_probabilities.push_back(0.9f - 0.1f * static_cast<float>(i));
    }
  }
  return all;
}

/// The decision alone. Returns how many experts left, so that the caller sees that something happened.
uint64_t decide_all(const decision::Params& params,
                    const std::function<uint32_t(void*, const decision::Input&, decision::Output&)>& decide,
                    const std::vector<Routed>& routing) {
  const size_t bytes = (decision::state_bytes(params) + 63) & ~size_t{63};
  const std::unique_ptr<void, void (*)(void*)> state(std::aligned_alloc(64, bytes), std::free);
  decision::init_state(params, state.get());
  decision::OutputArrays arrays(decision::output_sizes(params, kMostTokens, 0));
  decision::Output out = arrays.output();
  uint64_t evicted = 0;
  for (const Routed& r : routing) {
    std::vector<decision::Hint> hints(kShape.num_layers);
    hints[(r.layer + 1) % kShape.num_layers] = {r.hinted.data(), r.hint_probabilities.data(), 6, 0};
    decision::Measured measured{};
    measured.has_cost_model = 1;
    measured.transfer_ms = measured.cpu_token_ms = 1;
    decision::Input in{};
    in.layer = r.layer;
    in.num_tokens = r.num_tokens;
    in.top_k = kShape.top_k;
    in.ids = r.ids.data();
    in.weights = r.weights.data();
    in.phase = r.phase;
    in.request = r.request;
    in.hints = hints.data();
    in.measured = &measured;
    in.probabilities = r.probabilities.data();
    uint32_t status;
    {
      const Counted counted;
      status = decide(state.get(), in, out);
    }
    REQUIRE(status == decision::kOk);
    evicted += out.num_evicted;
  }
  return evicted;
}

/// moe_dispatch; false: an engine cannot attach the policy.
bool dispatch_all(const decision::Descriptor& descriptor, const std::vector<Routed>& routing) {
  const decision::Params& params = *descriptor.params;
  moe_runtime_config config = config_for(params);
  config.shape.expert_bytes = kShape.expert_bytes;
  Fixture engine(params, kShape.expert_bytes, config);
  moe_policy* policy = nullptr;
  const moe_status made = moe_policy_from_descriptor(&descriptor, &policy);
  REQUIRE_MESSAGE(made == MOE_OK, std::string(moe_last_error()));
  const moe_status attached = moe_policy_attach(engine.get(), policy);
  REQUIRE(moe_policy_destroy(policy) == MOE_OK);
  REQUIRE((attached == MOE_OK || attached == MOE_UNSUPPORTED));
  for (const Routed& r : routing) {
    if (attached != MOE_OK) break;
    const std::vector<int32_t> hinted(r.hinted.begin(), r.hinted.end());
    const uint32_t next = (r.layer + 1) % kShape.num_layers;
    REQUIRE(moe_hint(engine.get(), next, hinted.data(), r.hint_probabilities.data(), 6) == MOE_OK);
    const std::vector<uint32_t> requests(r.num_tokens, r.request);
    moe_dispatch_args args = dispatch_args(params, r.layer, r.ids);
    args.weights = r.weights.data();
    args.phase = r.phase == 0 ? MOE_PHASE_PREFILL : MOE_PHASE_DECODE;
    args.request_ids = requests.data();
    args.probabilities = r.probabilities.data();
    moe_plan plan = empty_plan();
    moe_status status;
    {
      const Counted counted;
      status = moe_dispatch(engine.get(), &args, &plan);
    }
    REQUIRE(status == MOE_OK);
    for (uint32_t e = 0; e < plan.num_entries; ++e) {
      REQUIRE(moe_plan_wait(engine.get(), &plan, e, nullptr) == MOE_OK);
      REQUIRE(moe_plan_done(engine.get(), &plan, e, nullptr) == MOE_OK);
    }
    REQUIRE(moe_plan_release(engine.get(), &plan, nullptr) == MOE_OK);
  }
  return attached == MOE_OK;
}

TEST_CASE("no dispatch of a standard policy allocates, locks or makes a system call") {
  const bool watched = watch_system_calls();
  if (!watched) MESSAGE("[SKIP] this kernel cannot report system calls; allocations and locks are still counted");
  CHECK(make_some_calls() == Calls{2, 1, watched ? 1u : 0u});

  const std::vector<Routed> routing = make_routing();
  uint64_t evicted = 0;
  size_t by_kernel = 0;
  std::vector<std::string> refused;
  const std::vector<StandardPolicy> policies = native_standard_policies(kShape);
  for (const StandardPolicy& policy : policies) {
    CAPTURE(policy.name);
    const auto jit = codegen::jit(policy.bound, {});
    REQUIRE(jit.ok());
    const decision::Descriptor& descriptor = (*jit)->descriptor();
    const decision::Params& params = *descriptor.params;
    const auto native = [&](void* state, const decision::Input& in, decision::Output& out) {
      return descriptor.dispatch(state, &in, &out);
    };
    evicted += decide_all(params, native, routing);
    CHECK(counted_calls() == Calls{});
    if (codegen::has_static_kernel(policy.bound)) {
      const auto kernel = [&](void* state, const decision::Input& in, decision::Output& out) {
        return decision::static_dispatch(params, state, &in, &out);
      };
      evicted += decide_all(params, kernel, routing);
      CHECK(counted_calls() == Calls{});
      ++by_kernel;
    }
    if (!dispatch_all(descriptor, routing)) refused.push_back(policy.name);
    CHECK(counted_calls() == Calls{});
    reset_calls();
  }
  CHECK(evicted > 10 * kDispatches);
  CHECK(by_kernel >= 8);
  // The engine's plans have no copies of lower precision.
  CHECK(refused == std::vector<std::string>{"hobbit", "low_bit_fallback"});
}

}  // namespace
}  // namespace moe::test
