// SPDX-License-Identifier: Apache-2.0
// The tiers of a policy: which block holds in which layer, and its numbers.
#include <algorithm>
#include <map>

#include "codegen/program.h"
#include "ir/tier_model.h"

namespace moe::codegen {
namespace {

constexpr uint32_t location_of(ir::Location location) { return static_cast<uint32_t>(location); }
static_assert(location_of(ir::Location::gpu) == static_cast<uint32_t>(decision::TierLocation::gpu));
static_assert(location_of(ir::Location::host) == static_cast<uint32_t>(decision::TierLocation::host));
static_assert(location_of(ir::Location::disk) == static_cast<uint32_t>(decision::TierLocation::disk));
static_assert(static_cast<uint32_t>(ir::Dtype::int2) == static_cast<uint32_t>(decision::Dtype::int2));
static_assert(ir::kNumDtypes == decision::kNumDtypes);

const ir::TiersRule* in_force(const ir::Policy& source, uint32_t layer) {
  const ir::Band* band = source.band_of(layer);
  if (band != nullptr && band->tiers) return &*band->tiers;
  return source.tiers ? &*source.tiers : nullptr;
}

uint32_t place_of(const ir::TiersRule& rule, const std::string& name) {
  const auto found =
      std::find_if(rule.tiers.begin(), rule.tiers.end(), [&](const ir::Tier& tier) { return tier.name.value == name; });
  return static_cast<uint32_t>(found - rule.tiers.begin());
}

double bits(const ir::Tier& tier) { return ir::bits_per_weight(tier.dtype.value, tier.group_size.value); }

}  // namespace

void Program::add_tiers() {
  if (policy.source == nullptr) return;
  std::map<const ir::TiersRule*, std::vector<uint32_t>> layers;
  for (uint32_t layer = 0; layer < policy.shape.num_layers; ++layer) {
    if (const ir::TiersRule* rule = in_force(*policy.source, layer)) layers[rule].push_back(layer);
  }
  if (layers.empty()) return;
  tier_set_of_layer.assign(policy.shape.num_layers, decision::kNone);
  for (const auto& [rule, its_layers] : layers) {
    for (const uint32_t layer : its_layers) tier_set_of_layer[layer] = static_cast<uint32_t>(tier_sets.size());
    add_tier_set(*rule, static_cast<uint32_t>(its_layers.size()));
  }
}

void Program::add_tier_set(const ir::TiersRule& rule, uint32_t num_layers) {
  const ir::EvictionRule& of_cache = policy.source->cache.eviction.value;
  const ir::TierModel model(rule, of_cache, policy, num_layers);
  const auto add_site = [&](const ir::Expr& expr) {
    tier_exprs.push_back(&expr);
    return static_cast<uint32_t>(tier_exprs.size() - 1);
  };
  TierSet set;
  for (uint32_t i = 0; i < rule.tiers.size(); ++i) {
    const ir::Tier& tier = rule.tiers[i];
    const bool lower = i > 0 && tier.location.value == ir::Location::gpu && bits(tier) < bits(rule.tiers.front());
    set.tiers.push_back({static_cast<uint32_t>(model.capacity(i)), model.holds_all(i) ? 1U : 0U,
                         location_of(tier.location.value), lower ? 1U : 0U, static_cast<uint32_t>(tier.dtype.value),
                         0});
    if (!tier.path.value.empty()) set.constants.elsewhere = 1;
  }
  for (const ir::Move& move : rule.moves) {
    const uint32_t site = move.condition.empty() ? decision::kNone : add_site(move.condition);
    set.rules.push_back({place_of(rule, move.from.value), place_of(rule, move.to.value), move.promote ? 1U : 0U, site});
  }
  decision::TierSet& constants = set.constants;
  if (rule.precision) {
    constants.ladder_site = add_site(rule.precision->value.by);
    for (const ir::Ladder::Rung& rung : rule.precision->value.rungs) {
      set.rungs.push_back({rung.at_least, static_cast<uint32_t>(rung.dtype), 0});
    }
  }
  const ir::EvictionRule& lower = rule.eviction ? rule.eviction->value : of_cache;
  lower_evictions.push_back(model.eviction());
  if (model.eviction() == ir::Eviction::least) constants.eviction_site = add_site(lower.value);
  constants.num_tiers = static_cast<uint32_t>(set.tiers.size());
  constants.num_rules = static_cast<uint32_t>(set.rules.size());
  constants.num_rungs = static_cast<uint32_t>(set.rungs.size());
  constants.first_tier = num_tiers;
  constants.eviction = eviction_of(model.eviction().kind);
  constants.inclusive = rule.inclusive.value ? 1 : 0;
  constants.direct = rule.direct.value ? 1 : 0;
  num_tiers += constants.num_tiers;
  tier_sets.push_back(std::move(set));
}

void Program::share_tiers(decision::Params& p) const {
  p.num_tier_sets = static_cast<uint32_t>(tier_sets.size());
  p.num_tiers = num_tiers;
  for (const TierSet& set : tier_sets) {
    p.num_tier_rules = std::max(p.num_tier_rules, set.constants.num_rules);
    p.tier_evictions |= 1U << set.constants.eviction;
  }
}

}  // namespace moe::codegen
