// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <span>

#include "runtime/base/memory.h"
#include "runtime/core/tier_table.h"
#include "runtime/decision/abi.h"
#include "runtime/decision/check/invariants.h"
#include "runtime/decision/state.h"
#include "runtime/policy.h"

namespace moe::core {

/// A policy attached to one runtime: its state and the arrays it decides into. Made by attach, used by the dispatching
/// thread, ended by a later attach.
class Instance {
 public:
  Instance(PolicyRef policy, uint32_t max_tokens, const Allocator& allocator, TierTable tiers = {})
      : policy_(std::move(policy)),
        tiers_(std::move(tiers)),
        sizes_(decision::output_sizes(policy_->params, max_tokens, policy_->params.total_capacity())),
        state_(allocator, decision::state_bytes(policy_->params)),
        places_(decision::places(policy_->params, state_.data())),
        expert_(allocator, sizes_.entries),
        action_(allocator, sizes_.entries),
        num_selections_(allocator, sizes_.entries),
        weight_(allocator, sizes_.entries),
        evicted_(allocator, sizes_.evicted, Uninitialized()),
        prefetched_(allocator, sizes_.prefetched, Uninitialized()),
        fired_(allocator, sizes_.fired),
        dropped_(allocator, sizes_.dropped),
        signals_(allocator, num_signals(policy_->params)),
        moves_(allocator, sizes_.moves),
        copies_(allocator, sizes_.copies),
        output_{0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                expert_.data(),
                action_.data(),
                num_selections_.data(),
                weight_.data(),
                evicted_.data(),
                prefetched_.data(),
                fired_.data(),
                dropped_.data(),
                moves_.data(),
                copies_.data()} {
    decision::init_state(params(), state());
  }

  const moe_policy& policy() const { return *policy_; }
  const TierTable& tiers() const { return tiers_; }
  const decision::Params& params() const { return policy_->params; }
  /// Of the rules that the last dispatch was decided by.
  const decision::Params& rules() const { return decision::in_force(params(), state()); }
  void* state() const { return state_.data(); }

  /// Of the last dispatch; where the next one is decided into.
  decision::Output& output() const { return output_; }
  uint32_t decide(const decision::Input& input, decision::Output& output) const {
    const decision::DispatchFn code = policy_->dispatch.load(std::memory_order_acquire);
    if (code != nullptr) return decision::checked(params(), state(), input, code(state(), &input, &output));
    if (policy_->decide == nullptr) return decision::static_dispatch(params(), state(), &input, &output);
    return decision::checked(params(), state(), input, policy_->decide(policy_->first.user, state(), &input, &output));
  }
  /// What the rules that fired signal, in order; valid until the next call.
  std::span<const char* const> signals(const decision::Output& output) const {
    size_t n = 0;
    for (uint32_t i = 0; i < output.num_fired; ++i) {
      for_each_signal(params(), output.fired[i], [&](const char* name) { signals_[n++] = name; });
    }
    return {signals_.data(), n};
  }
  bool resident(uint32_t key) const { return places_[key] != decision::kNone; }

  Instance* next_retired = nullptr;
  uint32_t log_serial = 0;  ///< the policy's in the decision log

 private:
  template <class Use>
  static void for_each_signal(const decision::Params& params, uint32_t rule, Use use) {
    const decision::Changes& changes = *params.changes;
    const decision::AdaptRule& fired = changes.rules[rule];
    for (uint32_t i = 0; i < fired.num_actions; ++i) {
      const decision::RuleAction& action = changes.actions[fired.first_action + i];
      if (action.kind == static_cast<uint32_t>(decision::RuleActionKind::signal)) use(action.name);
    }
  }
  /// Most in one dispatch: a rule fires at most once in it.
  static size_t num_signals(const decision::Params& params) {
    size_t n = 0;
    const uint32_t num_rules = params.changes == nullptr ? 0 : params.changes->num_rules;
    for (uint32_t rule = 0; rule < num_rules; ++rule) for_each_signal(params, rule, [&](const char*) { ++n; });
    return n;
  }

  PolicyRef policy_;
  const TierTable tiers_;
  decision::OutputSizes sizes_;
  Block state_;
  const uint32_t* places_;  ///< in the state, by key
  Array<uint32_t> expert_;
  Array<uint8_t> action_;
  Array<uint32_t> num_selections_;
  Array<float> weight_;
  Array<uint32_t> evicted_;
  Array<uint32_t> prefetched_;
  Array<uint32_t> fired_;
  Array<uint32_t> dropped_;
  Array<const char*> signals_;
  Array<decision::TierMove> moves_;
  Array<decision::CopyChoice> copies_;
  mutable decision::Output output_;
};

}  // namespace moe::core
