// SPDX-License-Identifier: Apache-2.0
// Everything constant that the kernels read of a policy, worked out once: variants, their expressions, what the state
// keeps for them, the rules of `adapt`. emit_policy.cpp writes it into the module.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "codegen/variants.h"
#include "runtime/decision/abi.h"
#include "runtime/decision/expression.h"

namespace moe::codegen {

struct SiteExpr {
  uint32_t site = 0;  ///< as moe_evaluate() or moe_condition() is asked
  uint32_t variant = 0;
  uint32_t kind = 0;  ///< decision::Site, of a variant's
  const ir::Expr* expr = nullptr;
  bool of_expert = true;  ///< false: of the cache as a whole
};

/// A block of `tiers`, with its tables.
struct TierSet {
  decision::TierSet constants{};
  std::vector<decision::Tier> tiers;
  std::vector<decision::TierRule> rules;
  std::vector<decision::Rung> rungs;
};

/// decision::Eviction; lru for what has no kernel.
uint32_t eviction_of(ir::Eviction eviction);

struct Program {
  explicit Program(const ir::BoundPolicy& policy);
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  const ir::BoundPolicy& policy;
  Variants variants;
  bool has_changes = false;                        ///< false: one variant, and no rules
  std::vector<SiteExpr> sites;                     ///< of all variants
  std::vector<uint32_t> steady_roots;              ///< in least(E), of its parts that are kept (steady.h)
  std::vector<ir::Expr> steady_parts;              ///< those parts
  std::vector<SiteExpr> conditions;                ///< of the rules, then the rewards of the choices
  std::vector<uint32_t> rates;                     ///< time constants of use_rate that some site reads
  std::vector<decision::WeightRate> weight_rates;  ///< likewise of weight_rate
  std::vector<decision::Remembered> remembered;
  std::vector<std::vector<decision::Arm>> arms;  ///< by variant
  std::vector<decision::AdaptRule> rules;
  std::vector<decision::RuleAction> actions;  ///< their names point into the policy
  std::vector<decision::ChooseRule> choices;
  std::vector<uint32_t> choice_arms;
  std::optional<decision::PerLayer> per_layer;  ///< without its table
  std::vector<uint32_t> slots_at_start;         ///< of per_layer
  std::vector<TierSet> tier_sets;
  std::vector<uint32_t> tier_set_of_layer;        ///< empty without tiers
  std::vector<const ir::Expr*> tier_exprs;        ///< what tiers ask, by place after a variant's arms
  std::vector<ir::EvictionRule> lower_evictions;  ///< of the tiers below the first, by set
  uint32_t num_tiers = 0;                         ///< of all sets
  decision::Changes changes{};                    ///< without its tables
  std::vector<decision::Params> params;           ///< by variant; without their tables

  /// The variant of the first dispatch of layer 0.
  uint32_t first_variant() const;

 private:
  void add_rules();
  void add_tiers();
  void add_tier_set(const ir::TiersRule& rule, uint32_t num_layers);
  void share_tiers(decision::Params& p) const;
  void keep_steady_parts();
  void share_slots();
  void finish();
};

}  // namespace moe::codegen
