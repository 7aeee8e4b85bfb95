// SPDX-License-Identifier: Apache-2.0
// The rules that can be in force, each combination of policy, active rules, phase and band of layers once.
#pragma once
#include <vector>

#include "ir/bind.h"

namespace moe::codegen {

/// More of either than this, and no native code is made.
inline constexpr size_t kMaxVariants = 64;
inline constexpr size_t kMaxSelections = 1U << 12U;

struct Variants {
  std::vector<ir::BoundRules> rules;    ///< distinct; at least one
  std::vector<uint16_t> selector;       ///< decision::Changes::selector
  std::vector<uint16_t> band_of_layer;  ///< layers in which the same holds whenever anything does, from 0
  uint32_t num_bands = 1;
  std::vector<uint32_t> mask_of_rule;  ///< by rule of `adapt`: its bit; 0: it changes no rules
  uint32_t num_mask_bits = 0;
  std::vector<uint32_t> alternative_of;  ///< by mask: what the active rules `use`, 0 being the policy; decision::kNone
  uint32_t num_alternatives = 1;
  bool too_many = false;  ///< the limits above: the rest is not filled then
};

Variants variants_of(const ir::BoundPolicy& policy);

/// 0: the policy itself; else 1 + the place in Policy::alternatives. decision::kNone: there is no such name.
uint32_t alternative_named(const ir::BoundPolicy& policy, const std::string& name);

}  // namespace moe::codegen
