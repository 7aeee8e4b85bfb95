// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/tier_table.h"

#include <algorithm>

namespace moe::core {

using decision::TierLocation;

TierTable::TierTable(const Precisions& precisions) {
  for (uint32_t i = 0; i < precisions.count(); ++i) bytes_.push_back(precisions.bytes(i));
}

Result<TierTable> TierTable::make(const decision::Params& p, const Precisions& precisions) {
  TierTable table(precisions);
  if (p.num_tier_sets != 0) table.set_of_layer_.assign(p.tier_set_of_layer, p.tier_set_of_layer + p.num_layers);
  for (uint32_t i = 0; i < p.num_tier_sets; ++i) {
    if (Result<void> added = table.add(p.tier_sets[i], precisions); !added) return added.error();
    table.measure(p.tier_sets[i], i);
  }
  for (uint32_t layer = 0; layer < p.num_layers; ++layer) {
    if (table.levels(layer).empty()) table.widen(table.widest_on_host_, Precisions::kNative);
  }
  return table;
}

Result<uint32_t> TierTable::find(decision::Dtype dtype, const Precisions& precisions) {
  Result<uint32_t> precision = precisions.find(dtype);
  if (!precision) return precision;
  by_dtype_[static_cast<uint32_t>(dtype)] = *precision;
  used_ |= uint64_t{1} << *precision;
  return precision;
}

Result<void> TierTable::add(const decision::TierSet& set, const Precisions& precisions) {
  begin_.push_back(static_cast<uint32_t>(levels_.size()));
  size_.push_back(set.num_tiers);
  ladder_.push_back(set.num_rungs);
  direct_.push_back(set.direct);
  for (uint32_t i = 0; i < set.num_tiers; ++i) {
    const decision::Tier& tier = set.tiers[i];
    const Result<uint32_t> precision = find(static_cast<decision::Dtype>(tier.dtype), precisions);
    if (!precision)
      return Error{precision.error().kind, "tier " + std::to_string(i + 1) + ": " + precision.error().message};
    const bool is_lower_copy =
        i != 0 && tier.is_lower_copy != 0 && is_lower(*precision, levels_[begin_.back()].precision);
    levels_.push_back({static_cast<TierLocation>(tier.location), *precision, is_lower_copy, tier.holds_all != 0});
  }
  for (uint32_t i = 0; i < set.num_rungs; ++i) {
    const Result<uint32_t> precision = find(static_cast<decision::Dtype>(set.rungs[i].dtype), precisions);
    if (!precision) {
      return Error{precision.error().kind,
                   "rung " + std::to_string(i + 1) + " of `precision`: " + precision.error().message};
    }
  }
  return {};
}

void TierTable::measure(const decision::TierSet& set, uint32_t number) {
  const std::span<const Level> all = std::span(levels_).subspan(begin_[number], size_[number]);
  for (uint32_t i = 1; i < set.num_tiers; ++i) {
    if (all[i].location == TierLocation::disk) continue;
    const bool gpu = all[i].location == TierLocation::gpu;
    slots_[gpu ? 0 : 1][all[i].precision] += all[i].holds_all ? UINT32_MAX : set.tiers[i].capacity;
    widen(gpu ? widest_on_device_ : widest_on_host_, all[i].precision);
    if (gpu) widen(widest_on_host_, all[i].precision);
  }
  // What a load brings: in what its source has, or lower.
  const auto layer =
      static_cast<uint32_t>(std::find(set_of_layer_.begin(), set_of_layer_.end(), number) - set_of_layer_.begin());
  if (layer == set_of_layer_.size()) return;
  const uint64_t last = uint64_t{1} << (set.num_tiers - 1);
  for (uint32_t i = 1; i < set.num_tiers; ++i) {
    const uint64_t tiers = last | uint64_t{1} << i;
    if (set.num_rungs == 0) widen(widest_on_host_, source_of(layer, tiers, all[0].precision).precision);
    for (uint32_t rung = 0; rung < set.num_rungs; ++rung) {
      const uint32_t wanted = precision_of(static_cast<decision::Dtype>(set.rungs[rung].dtype));
      widen(widest_on_host_, source_of(layer, tiers, wanted).precision);
    }
  }
}

LoadSource TierTable::source_of(uint32_t layer, uint64_t tiers, uint32_t wanted) const {
  const std::span<const Level> all = levels(layer);
  LoadSource source{wanted, false};
  size_t i = 1;
  while (i < all.size() && (all[i].is_lower_copy || !(all[i].holds_all || (tiers >> i & 1) != 0))) ++i;
  if (i >= all.size()) return source;
  source.on_device = all[i].location == TierLocation::gpu;
  if (all[i].location == TierLocation::disk && direct_[set_of_layer_[layer]] == 0) {
    const auto host = std::find_if(all.begin() + 1, all.begin() + i,
                                   [](const Level& level) { return level.location == TierLocation::host; });
    i = static_cast<size_t>(host - all.begin());
  }
  if (is_lower(all[i].precision, wanted)) source.precision = all[i].precision;
  if (source.on_device && source.precision != all[i].precision) source.on_device = false;  // it has no such copy
  return source;
}

uint64_t TierTable::held_at(TierLocation location, uint32_t layer, uint64_t tiers) const {
  const std::span<const Level> all = levels(layer);
  uint64_t held = 0;
  for (size_t i = 1; i < all.size(); ++i) {
    if (all[i].location == location && (tiers >> i & 1) != 0) held |= uint64_t{1} << all[i].precision;
  }
  return held;
}

uint64_t TierTable::slots_at(TierLocation location, uint32_t num_keys) const {
  uint64_t slots = 0;
  for (const uint64_t of_precision : slots_[location == TierLocation::gpu ? 0 : 1]) {
    slots += std::min<uint64_t>(of_precision, num_keys);
  }
  return slots;
}

}  // namespace moe::core
