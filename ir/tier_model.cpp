// SPDX-License-Identifier: Apache-2.0
#include "ir/tier_model.h"

#include <algorithm>
#include <cmath>

namespace moe::ir {
namespace {

// Bits of a weight; as_stored counts as bf16, what checkpoints mostly are.
uint32_t bits_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return 32;
    case Dtype::f8_e4m3:
    case Dtype::int8:
      return 8;
    case Dtype::int4:
      return 4;
    case Dtype::int2:
      return 2;
    default:
      return 16;
  }
}

// Experts that a tier holds: sizes scale with the bits of its weights.
uint64_t experts_in(const Tier& tier, const BoundPolicy& policy) {
  const uint64_t all = policy.num_keys();
  if (!tier.capacity) return all;
  const Capacity& capacity = tier.capacity->value;
  const double bytes = policy.expert_size_gb * 1e9 * bits_of(tier.dtype.value) / 16.0;
  switch (capacity.kind) {
    case Capacity::Kind::slots:
      return std::min(capacity.amount, all);
    case Capacity::Kind::ratio:
      return std::max<uint64_t>(1, static_cast<uint64_t>(capacity.ratio * static_cast<double>(all) * (1 + 1e-12)));
    case Capacity::Kind::bytes:
      return std::min(all, static_cast<uint64_t>(std::floor(static_cast<double>(capacity.amount) / bytes)));
    case Capacity::Kind::automatic:
      break;
  }
  return all;
}

}  // namespace

TierModel::TierModel(const TiersRule& rule, const BoundPolicy& policy) : rule_(rule), num_keys_(policy.num_keys()) {
  for (const Tier& tier : rule_.tiers) levels_.push_back({&tier, experts_in(tier, policy), false, {}});
  levels_.back().holds_all = levels_.size() > 1;
}

std::optional<uint32_t> TierModel::find(std::string_view name) const {
  for (uint32_t i = 0; i < levels_.size(); ++i) {
    if (levels_[i].tier->name.value == name) return i;
  }
  return std::nullopt;
}

bool TierModel::holds(uint32_t tier, uint32_t key) const {
  const Level& level = levels_[tier];
  return level.holds_all || std::find(level.order.begin(), level.order.end(), key) != level.order.end();
}

void TierModel::touch(uint32_t tier, uint32_t key) {
  std::vector<uint32_t>& order = levels_[tier].order;
  const auto found = std::find(order.begin(), order.end(), key);
  if (found != order.end()) std::rotate(found, found + 1, order.end());
}

void TierModel::put(uint32_t tier, uint32_t key, uint32_t from, std::vector<TierMove>& moves) {
  Level& level = levels_[tier];
  if (level.holds_all || level.capacity == 0) return;
  if (holds(tier, key)) return touch(tier, key);
  if (level.order.size() >= level.capacity) {
    const uint32_t oldest = level.order.front();
    level.order.erase(level.order.begin());
    moves.push_back({oldest, tier, tier});
  }
  level.order.push_back(key);
  moves.push_back({key, from, tier});
}

void TierModel::take(uint32_t tier, uint32_t key, std::vector<TierMove>& moves) {
  std::vector<uint32_t>& order = levels_[tier].order;
  const auto found = std::find(order.begin(), order.end(), key);
  if (found == order.end()) return;
  order.erase(found);
  moves.push_back({key, tier, tier});
}

void TierModel::load(uint32_t key, std::vector<TierMove>& moves) {
  uint32_t source = 1;
  while (source < levels_.size() && !holds(source, key)) ++source;
  if (source >= levels_.size()) return;
  const bool from_disk = levels_[source].tier->location.value == Location::disk;
  if (from_disk && !rule_.direct.value) {
    for (uint32_t i = 1; i < source; ++i) {
      if (levels_[i].tier->location.value != Location::host) continue;
      put(i, key, source, moves);
      if (!rule_.inclusive.value) take(i, key, moves);
      source = i;
      break;
    }
  }
  if (rule_.inclusive.value) {
    touch(source, key);
  } else {
    take(source, key, moves);
  }
}

void TierModel::evict(uint32_t key, std::vector<TierMove>& moves) {
  for (const Move& move : rule_.moves) {
    if (move.promote || !move.condition.empty() || find(move.from.value) != 0) continue;
    if (const std::optional<uint32_t> to = find(move.to.value)) put(*to, key, 0, moves);
  }
}

void TierModel::access(uint32_t key, const Holds& holds_now, std::vector<TierMove>& moves) {
  for (const Move& move : rule_.moves) {
    const std::optional<uint32_t> from = find(move.from.value);
    const std::optional<uint32_t> to = find(move.to.value);
    if (move.condition.empty() || !from || !to || *from == 0 || *to == 0) continue;
    if (!holds(*from, key) || !holds_now(move.condition, key)) continue;
    put(*to, key, *from, moves);
    if (!move.promote && !levels_[*from].holds_all) take(*from, key, moves);
  }
}

bool TierModel::has_lower_copy(uint32_t key) const {
  const uint32_t full = bits_of(levels_[0].tier->dtype.value);
  for (uint32_t i = 1; i < levels_.size(); ++i) {
    const Tier& tier = *levels_[i].tier;
    if (tier.location.value == Location::gpu && bits_of(tier.dtype.value) < full && holds(i, key)) return true;
  }
  return false;
}

std::vector<uint32_t> TierModel::held(uint32_t tier) const {
  std::vector<uint32_t> keys = levels_[tier].order;
  if (levels_[tier].holds_all) {
    keys.clear();
    for (uint32_t key = 0; key < num_keys_; ++key) keys.push_back(key);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace moe::ir
