// SPDX-License-Identifier: Apache-2.0
// Which experts the tiers below the first hold: the decisions of `tiers`, without the bytes. The mechanism carries them
// out.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ir/bind.h"
#include "ir/decision.h"
#include "ir/queue_rule.h"

namespace moe::ir {

/// The rule by which tiers below the first let go, of a policy that has `tiers`: what it writes, else the cache's,
/// else lru where the cache's is none for them.
EvictionRule lower_eviction(const TiersRule& tiers, const EvictionRule& of_cache);

/// Of the layers that one `tiers` block is in force for.
class TierModel {
 public:
  /// What the model asks of the interpreter, and has it do.
  struct Answers {
    /// Whether the first tier holds an expert.
    std::function<bool(uint32_t key)> in_first;
    /// Gives it a place there, if there is one.
    std::function<void(uint32_t key)> enter_first;
    /// Takes its place away. False: it is pinned.
    std::function<bool(uint32_t key)> leave_first;
    /// Whether a move's condition holds for an expert now.
    std::function<bool(const Expr& condition, uint32_t key)> holds;
    /// Who of `held` lets go by `rule`, which is not a queue's. Least recently loaded or used first; under fifo least
    /// recently loaded first.
    std::function<uint32_t(const EvictionRule& rule, const std::vector<uint32_t>& held)> victim;
  };

  /// The lowest tier holds every expert from the start, whatever capacity it is given; the others are empty.
  TierModel(const TiersRule& rule, const EvictionRule& of_cache, const BoundPolicy& policy, uint32_t num_layers);

  /// An expert was accessed: moves `promote A -> B when E` and `demote A -> B when E`.
  void access(uint32_t key, const Answers& answers, std::vector<TierMove>& moves);
  /// The expert enters the first tier: from the fastest tier that has it, through a host tier unless `direct`. Under
  /// inclusive = false it leaves the tier that it came from.
  void load(uint32_t key, const Answers& answers, std::vector<TierMove>& moves);
  /// It left the first tier: `demote FIRST -> B on evict`.
  void evict(uint32_t key, const Answers& answers, std::vector<TierMove>& moves);

  /// Whether a tier in GPU memory below the first holds a copy in lower precision.
  bool has_lower_copy(uint32_t key) const;
  const EvictionRule& eviction() const { return eviction_; }
  /// Experts that a tier holds.
  uint64_t capacity(uint32_t tier) const { return levels_[tier].capacity; }
  /// Whether it is the lowest, which holds all whatever its capacity.
  bool holds_all(uint32_t tier) const { return levels_[tier].holds_all; }
  /// The ladder of the first tier; null: it holds experts in one precision.
  const Ladder* ladder() const { return rule_.precision ? &rule_.precision->value : nullptr; }

 private:
  struct Level {
    const Tier* tier = nullptr;
    uint64_t capacity = 0;  ///< experts
    bool holds_all = false;
    std::vector<uint32_t> order;       ///< least recently loaded or used first
    std::unique_ptr<QueueRule> queue;  ///< of rules that are more than a number per expert
  };
  std::optional<uint32_t> find(std::string_view name) const;
  bool holds(uint32_t tier, uint32_t key) const;
  void put(uint32_t tier, uint32_t key, uint32_t from, const Answers& answers, std::vector<TierMove>& moves);
  void take(uint32_t tier, uint32_t key, std::vector<TierMove>& moves);
  void touch(uint32_t tier, uint32_t key);
  void drop(Level& level, uint32_t key, bool as_victim);

  TiersRule rule_;
  EvictionRule eviction_;
  std::vector<Level> levels_;
};

}  // namespace moe::ir
