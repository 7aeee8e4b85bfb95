// SPDX-License-Identifier: Apache-2.0
// An engine over moe.h that only decides: 4 layers of 16 experts, top-2, the same routing every time.
#pragma once
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "moe/moe.h"

namespace moe::test {

inline constexpr uint32_t kLayers = 4, kExperts = 16, kTopK = 2;

inline constexpr const char* kPlain =
    "policy plain { cache { capacity = 30%  eviction = lfu  ttl = 40 }  prefetch { strategy = history  budget = 2 } }";
inline constexpr const char* kExpressions =
    "policy wise { cache { capacity = 30%  eviction = least(use_rate(8) - 0.1 * log(1 + idle))  admit = when(weight > "
    "0.2) } }";

inline moe_compile_options options_for(uint32_t wait, uint32_t opt_level = 2) {
  moe_compile_options options{};
  options.struct_size = sizeof options;
  options.opt_level = opt_level;
  options.shape = {sizeof(moe_model_shape), kLayers, kExperts, kTopK, 0};
  options.wait = wait;
  return options;
}

/// Destroyed at the end of the scope.
class PolicyHandle {
 public:
  PolicyHandle(const char* text, const moe_compile_options& options) {
    moe_diagnostics* findings = nullptr;
    status = moe_policy_compile(text, std::string(text).size(), &options, &handle, &findings);
    REQUIRE_MESSAGE(status == MOE_OK, (std::string(moe_last_error()) + moe_diagnostics_text(findings)));
    moe_diagnostics_destroy(findings);
  }
  ~PolicyHandle() { moe_policy_destroy(handle); }
  PolicyHandle(const PolicyHandle&) = delete;
  PolicyHandle& operator=(const PolicyHandle&) = delete;

  moe_status status = MOE_OK;
  moe_policy* handle = nullptr;
};

class SmallEngine {
 public:
  explicit SmallEngine(moe_policy* policy) {
    moe_runtime_config config{};
    config.struct_size = sizeof config;
    config.shape = {sizeof(moe_model_shape), kLayers, kExperts, kTopK, sizeof bytes_};
    REQUIRE(moe_runtime_create(&config, &runtime_) == MOE_OK);
    for (uint32_t layer = 0; layer < kLayers; ++layer) {
      for (uint32_t e = 0; e < kExperts; ++e)
        REQUIRE(moe_store_add(runtime_, layer, e, bytes_, sizeof bytes_) == MOE_OK);
    }
    attach(policy);
  }
  ~SmallEngine() { moe_runtime_destroy(runtime_); }
  SmallEngine(const SmallEngine&) = delete;
  SmallEngine& operator=(const SmallEngine&) = delete;

  moe_runtime* get() const { return runtime_; }
  void attach(moe_policy* policy) { REQUIRE(moe_policy_attach(runtime_, policy) == MOE_OK); }

  /// Runs `count` dispatches and says what was decided: misses, what left, what was fetched.
  std::vector<uint32_t> decide(uint32_t count) {
    std::vector<uint32_t> decided;
    for (uint32_t i = 0; i < count; ++i) {
      int32_t ids[kTopK];
      float weights[kTopK];
      ids[0] = static_cast<int32_t>(random_() % kExperts * (random_() % kExperts) / kExperts);
      ids[1] = (ids[0] + 1 + static_cast<int32_t>(random_() % (kExperts - 1))) % static_cast<int32_t>(kExperts);
      for (float& weight : weights) weight = static_cast<float>(random_() % 1000) / 1000.0f;
      moe_dispatch_args args{};
      args.struct_size = sizeof args;
      args.layer = next_++ % kLayers;
      args.num_tokens = 1;
      args.top_k = kTopK;
      args.ids = ids;
      args.weights = weights;
      moe_plan plan{};
      plan.struct_size = sizeof plan;
      REQUIRE(moe_dispatch(runtime_, &args, &plan) == MOE_OK);
      for (uint32_t j = 0; j < plan.num_entries; ++j) {
        const uint32_t action = plan.entries[j].action;
        // Whether a hit is late is the transfer thread's affair.
        decided.push_back(action == MOE_ACTION_LATE ? static_cast<uint32_t>(MOE_ACTION_HIT) : action);
        REQUIRE(moe_plan_wait(runtime_, &plan, j, nullptr) == MOE_OK);
      }
      decided.insert(decided.end(), plan.evicted, plan.evicted + 2 * plan.num_evicted);
      REQUIRE(moe_plan_release(runtime_, &plan, nullptr) == MOE_OK);
    }
    return decided;
  }

 private:
  char bytes_[64] = {};
  moe_runtime* runtime_ = nullptr;
  std::mt19937 random_{11};
  uint32_t next_ = 0;
};

}  // namespace moe::test
