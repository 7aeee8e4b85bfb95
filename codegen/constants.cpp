// SPDX-License-Identifier: Apache-2.0
#include "codegen/constants.h"

#include <cstring>
#include <type_traits>

namespace moe::codegen {
namespace {

constexpr size_t kHead = alignof(decision::Params) > sizeof(void*) ? alignof(decision::Params) : sizeof(void*);
static_assert(std::is_trivially_copyable_v<decision::Params>);

template <class T>
const T* table(const std::vector<T>& values) {
  return values.empty() ? nullptr : values.data();
}

}  // namespace

Constants::Constants(const Program& program, const void* owner)
    : memory_(std::make_unique<std::byte[]>(kHead + program.params.size() * sizeof(decision::Params))) {
  std::memcpy(memory_.get(), &owner, sizeof owner);
  std::byte* const first = memory_.get() + kHead;
  std::memcpy(first, program.params.data(), program.params.size() * sizeof(decision::Params));
  variants_ = reinterpret_cast<decision::Params*>(first);
  if (program.has_changes) fill_changes(program);
  profile_ = profile_tables(program);
  for (size_t v = 0; v < program.params.size(); ++v) {
    decision::Params& p = variants_[v];
    p.pins = table(program.policy.pins);
    p.preload = table(program.policy.preload);
    p.arms = table(program.arms[v]);
    p.rates = table(program.rates);
    p.weight_rates = table(program.weight_rates);
    p.remembered = table(program.remembered);
    p.share_rows = table(profile_.share_rows);
    p.share_followers = table(profile_.share_followers);
    p.shares = table(profile_.shares);
    p.weights = table(profile_.weights);
    p.changes = program.has_changes ? &changes_ : nullptr;
    fill_tiers(program, p);
  }
}

void Constants::fill_tiers(const Program& program, decision::Params& p) {
  if (tier_sets_.empty()) {
    for (const TierSet& set : program.tier_sets) {
      tier_sets_.push_back(set.constants);
      tier_sets_.back().tiers = table(set.tiers);
      tier_sets_.back().rules = table(set.rules);
      tier_sets_.back().rungs = table(set.rungs);
    }
  }
  p.tier_sets = table(tier_sets_);
  p.tier_set_of_layer = table(program.tier_set_of_layer);
}

void Constants::fill_changes(const Program& program) {
  changes_ = program.changes;
  changes_.variants = variants_;
  changes_.selector = table(program.variants.selector);
  changes_.band_of_layer = table(program.variants.band_of_layer);
  changes_.alternative_of = table(program.variants.alternative_of);
  changes_.rules = table(program.rules);
  changes_.actions = table(program.actions);
  changes_.choices = table(program.choices);
  changes_.arms = table(program.choice_arms);
  if (!program.per_layer) return;
  per_layer_ = *program.per_layer;
  per_layer_.at_start = table(program.slots_at_start);
  changes_.per_layer = &per_layer_;
}

const void* Constants::owner_of(const decision::Params& variant) {
  const decision::Params* const first = &variant - variant.variant;
  const void* owner = nullptr;
  std::memcpy(&owner, reinterpret_cast<const std::byte*>(first) - kHead, sizeof owner);
  return owner;
}

}  // namespace moe::codegen
