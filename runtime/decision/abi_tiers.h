// SPDX-License-Identifier: Apache-2.0
// Part of the boundary that abi.h describes: the tiers below the cache, and the precision in which the first one holds
// an expert. A policy has one set of tiers, or its bands have their own; each is shared by its layers.
#pragma once
#include <cstddef>
#include <cstdint>

namespace moe::decision {

inline constexpr uint32_t kMostTiers = 64;  ///< of all sets together

struct Tier {
  uint32_t capacity;       ///< experts, of all layers of its set
  uint32_t holds_all;      ///< 1: the lowest
  uint32_t location;       ///< TierLocation
  uint32_t is_lower_copy;  ///< 1: in GPU memory, and of lower precision than the first: what `degrade` uses
  uint32_t dtype;          ///< in which it holds experts: Dtype
  uint32_t reserved;
};
/// As the policy language orders them.
enum class Dtype : uint32_t { as_stored = 0, f32, bf16, f16, f8_e4m3, int8, int4, int2 };
inline constexpr uint32_t kNumDtypes = 8;
enum class TierLocation : uint32_t { gpu = 0, host = 1, disk = 2 };

/// promote FROM -> TO when E, demote FROM -> TO when E, demote FROM -> TO on evict
struct TierRule {
  uint32_t from;
  uint32_t to;
  uint32_t promote;
  uint32_t site;  ///< of the condition, counted from tier_site(); kNone: on evict
};

/// A step of `precision = by (E) [...]`, highest first.
struct Rung {
  double at_least;  ///< of all but the last
  uint32_t dtype;   ///< Dtype
  uint32_t reserved;
};

struct TierSet {
  uint32_t num_tiers;
  uint32_t num_rules;
  uint32_t num_rungs;   ///< 0: the first tier holds experts in one precision
  uint32_t first_tier;  ///< where its tiers stand among those of all sets
  uint32_t eviction;    ///< Eviction of the tiers below the first
  uint32_t eviction_site;
  uint32_t ladder_site;
  uint32_t inclusive;
  uint32_t direct;
  uint32_t elsewhere;  ///< 1: some tier has a `path` of its own
  const Tier* tiers;   ///< the first is the cache itself
  const TierRule* rules;
  const Rung* rungs;
};

/// An expert went from one tier to another below the first; from == to: it left `from`.
struct TierMove {
  uint32_t key;
  uint32_t from;
  uint32_t to;
};

/// Which copy of an expert the first tier holds from now on.
struct CopyChoice {
  uint32_t key;
  uint32_t dtype;   ///< Dtype
  uint32_t raised;  ///< 1: it was there in lower precision, and is used in that until this copy has arrived
};

}  // namespace moe::decision
