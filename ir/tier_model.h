// SPDX-License-Identifier: Apache-2.0
// Which experts the tiers below the first hold: the decisions of `tiers`, without the bytes. The mechanism carries them
// out.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "ir/bind.h"
#include "ir/decision.h"

namespace moe::ir {

class TierModel {
 public:
  /// Whether a move's condition holds for an expert now.
  using Holds = std::function<bool(const Expr& condition, uint32_t key)>;

  /// The lowest tier holds every expert from the start, whatever capacity it is given; the others are empty.
  TierModel(const TiersRule& rule, const BoundPolicy& policy);

  /// An expert was accessed: moves `promote A -> B when E` between lower tiers, and `demote A -> B when E`.
  void access(uint32_t key, const Holds& holds, std::vector<TierMove>& moves);
  /// The expert enters the first tier: from the fastest tier that has it, through a host tier unless `direct`. Under
  /// inclusive = false it leaves the tier that it came from.
  void load(uint32_t key, std::vector<TierMove>& moves);
  /// It left the first tier: `demote FIRST -> B on evict`.
  void evict(uint32_t key, std::vector<TierMove>& moves);

  /// Whether a tier in GPU memory below the first holds a copy in lower precision.
  bool has_lower_copy(uint32_t key) const;
  /// Per tier: keys held, ascending. The first tier's are the cache's own.
  std::vector<uint32_t> held(uint32_t tier) const;

 private:
  struct Level {
    const Tier* tier = nullptr;
    uint64_t capacity = 0;  ///< experts
    bool holds_all = false;
    std::vector<uint32_t> order;  ///< least recently used first
  };
  std::optional<uint32_t> find(std::string_view name) const;
  bool holds(uint32_t tier, uint32_t key) const;
  void put(uint32_t tier, uint32_t key, uint32_t from, std::vector<TierMove>& moves);
  void take(uint32_t tier, uint32_t key, std::vector<TierMove>& moves);
  void touch(uint32_t tier, uint32_t key);

  TiersRule rule_;
  std::vector<Level> levels_;
  uint32_t num_keys_;
};

}  // namespace moe::ir
