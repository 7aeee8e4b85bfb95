// SPDX-License-Identifier: Apache-2.0
#include "runtime/policy/checker.h"

namespace moe {
namespace {

using decision::Eviction;

void check_set(const decision::TierSet& set, const decision::Params& p, Checker& c) {
  c.range(set.num_tiers, 1, p.num_tiers, "num_tiers of a set");
  c.range(uint64_t{set.first_tier} + set.num_tiers, 1, p.num_tiers, "first_tier of a set");
  c.range(set.num_rules, 0, p.num_tier_rules, "num_rules of a set");
  c.range(set.num_rungs, 0, 255, "num_rungs of a set");
  const bool known =
      set.eviction <= static_cast<uint32_t>(Eviction::least) && (p.tier_evictions >> set.eviction & 1) != 0;
  if (!known) c.found("`eviction` of a set is not among `tier_evictions`");
  if (!set.tiers || (set.num_rules != 0 && !set.rules) || (set.num_rungs != 0 && !set.rungs)) {
    c.found("a table of `tier_sets` is NULL");
  }
  for (uint32_t i = 0; c.good() && i < set.num_tiers; ++i) {
    c.range(set.tiers[i].capacity, 0, p.num_keys(), "capacity of a tier");
    c.range(set.tiers[i].location, 0, static_cast<uint32_t>(decision::TierLocation::disk), "location of a tier");
    c.range(set.tiers[i].dtype, 0, decision::kNumDtypes - 1, "dtype of a tier");
  }
  for (uint32_t i = 0; c.good() && i < set.num_rungs; ++i) {
    c.range(set.rungs[i].dtype, 0, decision::kNumDtypes - 1, "dtype of a rung");
  }
  for (uint32_t i = 0; c.good() && i < set.num_rules; ++i) {
    c.range(set.rules[i].from, 0, set.num_tiers - 1, "from of a move");
    c.range(set.rules[i].to, 0, set.num_tiers - 1, "to of a move");
  }
}

}  // namespace

void check_tiers(const decision::Params& p, Checker& c) {
  c.range(p.num_tiers, 0, decision::kMostTiers, "num_tiers");
  c.range(p.num_tier_sets, 0, p.num_tiers, "num_tier_sets");
  c.range(p.num_tier_rules, 0, 4096, "num_tier_rules");
  c.range(p.tier_evictions, 0, (2U << static_cast<uint32_t>(Eviction::least)) - 1, "tier_evictions");
  if (!c.good() || p.num_tier_sets == 0) return;
  if (!p.tier_sets || !p.tier_set_of_layer) return c.found("a table of tiers is NULL");
  for (uint32_t i = 0; c.good() && i < p.num_tier_sets; ++i) check_set(p.tier_sets[i], p, c);
  for (uint32_t i = 0; c.good() && i < p.num_layers; ++i) {
    if (p.tier_set_of_layer[i] != decision::kNone)
      c.range(p.tier_set_of_layer[i], 0, p.num_tier_sets - 1, "tier_set_of_layer");
  }
}

}  // namespace moe
