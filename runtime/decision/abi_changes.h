// SPDX-License-Identifier: Apache-2.0
// Part of the boundary that abi.h describes: which rules are in force when, and how layers share the slots.
#pragma once
#include <cstddef>
#include <cstdint>

namespace moe::decision {

struct Params;

/// What a rule does when it fires, besides what holds while it is active.
enum class RuleActionKind : uint32_t { trigger_pressure = 0, rebalance = 1, signal = 2 };
struct RuleAction {
  uint32_t kind;     ///< RuleActionKind
  uint32_t value;    ///< rebalance: Allocation
  const char* name;  ///< signal: which; else null
};
enum class StretchUnit : uint32_t { accesses = 0, dispatches = 1, tokens = 2 };
/// A rule of `adapt`. Its condition is asked by its place.
struct AdaptRule {
  uint64_t stretch;
  uint64_t cooldown;  ///< dispatches
  uint32_t unit;      ///< StretchUnit
  uint32_t revert;
  uint32_t mask;          ///< its bit among the rules that change what holds; 0: it only acts
  uint32_t first_action;  ///< in Changes::actions
  uint32_t num_actions;
  uint32_t reserved;
};
/// `choose`: arms are alternatives. The rewards are asked as conditions after those of the rules.
struct ChooseRule {
  uint64_t every;  ///< dispatches
  double explore;
  uint32_t first_arm;  ///< in Changes::arms
  uint32_t num_arms;
};

enum class Allocation : uint32_t { entropy = 0, uniform = 1, utility = 2 };
/// How the slots are shared by the layers.
struct PerLayer {
  uint64_t interval;  ///< dispatches; 0: never
  uint64_t total;     ///< slots, where has_total; else layers x the capacity in force
  uint32_t has_total;
  uint32_t allocation;  ///< Allocation, every interval
  uint32_t min_capacity;
  uint32_t max_capacity;  ///< at most the experts of a layer
  uint32_t counts_depth;  ///< 1: some allocation goes by utility
  uint32_t reserved;
  const uint32_t* at_start;  ///< [num_layers] slots
};

/// Which of several variants holds when. The variant of a dispatch is
/// selector[((alternative << num_mask_bits | mask) * 2 + phase) * num_bands + band_of_layer[layer]].
struct Changes {
  uint32_t num_variants;
  uint32_t num_bands;
  uint32_t num_mask_bits;
  uint32_t num_alternatives;  ///< the policy itself, which is 0, and what `use` and `choose` can put in force
  uint32_t num_rules;
  uint32_t num_choices;
  uint32_t num_actions;
  uint32_t num_arms;
  uint64_t seed;           ///< of choose
  const Params* variants;  ///< [num_variants]
  const uint16_t* selector;
  const uint16_t* band_of_layer;   ///< [num_layers]
  const uint32_t* alternative_of;  ///< [1 << num_mask_bits]: what the active rules `use`; kNone: nothing
  const AdaptRule* rules;          ///< [num_rules]
  const RuleAction* actions;       ///< [num_actions]
  const ChooseRule* choices;       ///< [num_choices]
  const uint32_t* arms;            ///< [num_arms] alternatives
  const PerLayer* per_layer;       ///< null: each layer's rules say its capacity
};

}  // namespace moe::decision
