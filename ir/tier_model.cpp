// SPDX-License-Identifier: Apache-2.0
#include "ir/tier_model.h"

#include <algorithm>
#include <cmath>

namespace moe::ir {
namespace {

// Experts that a tier holds: sizes scale with the bits of its weights.
uint64_t experts_in(const Tier& tier, const BoundPolicy& policy, uint64_t all) {
  if (!tier.capacity) return all;
  const Capacity& capacity = tier.capacity->value;
  const double bytes = policy.expert_size_gb * 1e9 * bits_per_weight(tier.dtype.value, tier.group_size.value) / 16;
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

EvictionRule lower_eviction(const TiersRule& tiers, const EvictionRule& of_cache) {
  const EvictionRule& rule = tiers.eviction ? tiers.eviction->value : of_cache;
  return rules_lower_tiers(rule) ? rule : EvictionRule{};
}

TierModel::TierModel(const TiersRule& rule, const EvictionRule& of_cache, const BoundPolicy& policy,
                     uint32_t num_layers)
    : rule_(rule), eviction_(lower_eviction(rule, of_cache)) {
  const uint64_t all = uint64_t{num_layers} * policy.shape.num_experts;
  for (const Tier& tier : rule_.tiers) {
    Level level;
    level.tier = &tier;
    level.capacity = experts_in(tier, policy, all);
    level.queue = make_queue_rule(eviction_.kind, static_cast<uint32_t>(level.capacity));
    levels_.push_back(std::move(level));
  }
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
  Level& level = levels_[tier];
  const auto found = std::find(level.order.begin(), level.order.end(), key);
  if (found == level.order.end()) return;
  if (level.queue) level.queue->hit(key);
  if (eviction_.kind != Eviction::fifo) std::rotate(found, found + 1, level.order.end());
}

void TierModel::drop(Level& level, uint32_t key, bool as_victim) {
  level.order.erase(std::find(level.order.begin(), level.order.end(), key));
  if (level.queue) level.queue->leave(key, as_victim);
}

void TierModel::put(uint32_t tier, uint32_t key, uint32_t from, const Answers& answers, std::vector<TierMove>& moves) {
  Level& level = levels_[tier];
  if (level.holds_all || level.capacity == 0) return;
  if (holds(tier, key)) return touch(tier, key);
  if (level.queue) level.queue->miss(key);
  if (level.order.size() >= level.capacity) {
    const auto anybody = [](uint32_t) { return true; };
    const uint32_t victim =
        level.queue ? level.queue->victim(key, anybody).value() : answers.victim(eviction_, level.order);
    drop(level, victim, /*as_victim=*/true);
    moves.push_back({victim, tier, tier});
  }
  level.order.push_back(key);
  if (level.queue) level.queue->insert(key);
  moves.push_back({key, from, tier});
}

void TierModel::take(uint32_t tier, uint32_t key, std::vector<TierMove>& moves) {
  Level& level = levels_[tier];
  if (level.holds_all || !holds(tier, key)) return;
  drop(level, key, /*as_victim=*/false);
  moves.push_back({key, tier, tier});
}

void TierModel::load(uint32_t key, const Answers& answers, std::vector<TierMove>& moves) {
  uint32_t source = 1;
  while (source < levels_.size() && !holds(source, key)) ++source;
  if (source >= levels_.size()) return;
  const bool from_disk = levels_[source].tier->location.value == Location::disk;
  if (from_disk && !rule_.direct.value) {
    for (uint32_t i = 1; i < source; ++i) {
      if (levels_[i].tier->location.value != Location::host) continue;
      put(i, key, source, answers, moves);
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

void TierModel::evict(uint32_t key, const Answers& answers, std::vector<TierMove>& moves) {
  for (const Move& move : rule_.moves) {
    if (move.promote || !move.condition.empty() || find(move.from.value) != 0) continue;
    if (const std::optional<uint32_t> to = find(move.to.value)) put(*to, key, 0, answers, moves);
  }
}

void TierModel::access(uint32_t key, const Answers& answers, std::vector<TierMove>& moves) {
  for (const Move& move : rule_.moves) {
    const std::optional<uint32_t> from = find(move.from.value);
    const std::optional<uint32_t> to = find(move.to.value);
    if (move.condition.empty() || !from || !to) continue;
    if (!(*from == 0 ? answers.in_first(key) : holds(*from, key))) continue;
    if ((*to == 0 && answers.in_first(key)) || !answers.holds(move.condition, key)) continue;
    if (*to == 0) {
      answers.enter_first(key);  // which comes back as load()
      continue;
    }
    if (*from == 0 && !answers.leave_first(key)) continue;
    put(*to, key, *from, answers, moves);
    if (!move.promote && *from != 0) take(*from, key, moves);
  }
}

bool TierModel::has_lower_copy(uint32_t key) const {
  const auto bits = [](const Tier& tier) { return bits_per_weight(tier.dtype.value, tier.group_size.value); };
  for (uint32_t i = 1; i < levels_.size(); ++i) {
    const Tier& tier = *levels_[i].tier;
    if (tier.location.value == Location::gpu && bits(tier) < bits(*levels_[0].tier) && holds(i, key)) return true;
  }
  return false;
}

}  // namespace moe::ir
