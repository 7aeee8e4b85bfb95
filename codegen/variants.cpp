// SPDX-License-Identifier: Apache-2.0
#include "codegen/variants.h"

#include <algorithm>
#include <map>

#include "runtime/decision/abi.h"

namespace moe::codegen {
namespace {

const ir::Policy& alternative_at(const ir::BoundPolicy& policy, uint32_t alternative) {
  return alternative == 0 ? *policy.source : policy.source->alternatives[alternative - 1];
}

// Layers that lie in the same band of every policy that can be in force.
void find_bands(const ir::BoundPolicy& policy, Variants& variants) {
  variants.band_of_layer.assign(policy.shape.num_layers, 0);
  if (policy.source == nullptr) return;
  std::map<std::vector<const ir::Band*>, uint16_t> known;
  for (uint32_t layer = 0; layer < policy.shape.num_layers; ++layer) {
    std::vector<const ir::Band*> bands;
    for (uint32_t a = 0; a < variants.num_alternatives; ++a) bands.push_back(alternative_at(policy, a).band_of(layer));
    variants.band_of_layer[layer] = known.emplace(bands, static_cast<uint16_t>(known.size())).first->second;
  }
  variants.num_bands = static_cast<uint32_t>(known.size());
}

bool changes_rules(const ir::AdaptRule& rule) {
  return std::any_of(rule.actions.begin(), rule.actions.end(), [](const ir::RuleAction& action) {
    return action.kind == ir::RuleAction::Kind::assign || action.kind == ir::RuleAction::Kind::use;
  });
}

void find_masks(const ir::BoundPolicy& policy, Variants& variants) {
  for (const ir::AdaptRule& rule : policy.adapt) {
    const bool counts = changes_rules(rule);
    if (counts && variants.num_mask_bits >= 16) variants.too_many = true;
    variants.mask_of_rule.push_back(counts && !variants.too_many ? 1U << variants.num_mask_bits++ : 0);
  }
}

std::vector<const ir::Assignment*> overrides_under(const ir::BoundPolicy& policy, const Variants& variants,
                                                   uint32_t mask) {
  std::vector<const ir::Assignment*> overrides;
  for (size_t i = 0; i < policy.adapt.size(); ++i) {
    if ((mask & variants.mask_of_rule[i]) == 0) continue;
    for (const ir::RuleAction& action : policy.adapt[i].actions) {
      if (action.kind == ir::RuleAction::Kind::assign) overrides.push_back(&action.assignment);
    }
  }
  return overrides;
}

// The latest active rule in order of text wins.
uint32_t used_under(const ir::BoundPolicy& policy, const Variants& variants, uint32_t mask) {
  uint32_t used = decision::kNone;
  for (size_t i = 0; i < policy.adapt.size(); ++i) {
    if ((mask & variants.mask_of_rule[i]) == 0) continue;
    for (const ir::RuleAction& action : policy.adapt[i].actions) {
      if (action.kind != ir::RuleAction::Kind::use) continue;
      const uint32_t named = alternative_named(policy, action.name);
      if (named != decision::kNone) used = named;
    }
  }
  return used;
}

uint16_t place_of(const ir::BoundRules& rules, Variants& variants) {
  const auto found = std::find(variants.rules.begin(), variants.rules.end(), rules);
  if (found != variants.rules.end()) return static_cast<uint16_t>(found - variants.rules.begin());
  variants.rules.push_back(rules);
  return static_cast<uint16_t>(variants.rules.size() - 1);
}

void fill_selector(const ir::BoundPolicy& policy, Variants& variants) {
  std::vector<uint32_t> first_layer(variants.num_bands, decision::kNone);
  for (uint32_t layer = policy.shape.num_layers; layer-- > 0;) first_layer[variants.band_of_layer[layer]] = layer;
  for (uint32_t alternative = 0; alternative < variants.num_alternatives; ++alternative) {
    for (uint32_t mask = 0; mask >> variants.num_mask_bits == 0; ++mask) {
      ir::RulesQuery query;
      if (alternative > 0) query.alternative = alternative - 1;
      query.overrides = overrides_under(policy, variants, mask);
      for (const ir::Phase phase : {ir::Phase::prefill, ir::Phase::decode}) {
        query.phase = phase;
        for (const uint32_t layer : first_layer) {
          query.layer = layer;
          variants.selector.push_back(place_of(ir::rules_in_force(policy, query), variants));
          variants.too_many = variants.rules.size() > kMaxVariants;
          if (variants.too_many) return;
        }
      }
    }
  }
}

}  // namespace

uint32_t alternative_named(const ir::BoundPolicy& policy, const std::string& name) {
  if (name == policy.name) return 0;
  const auto& alternatives = policy.source->alternatives;
  for (size_t i = alternatives.size(); i-- > 0;) {
    if (alternatives[i].name.value == name) return static_cast<uint32_t>(1 + i);
  }
  return decision::kNone;
}

Variants variants_of(const ir::BoundPolicy& policy) {
  Variants variants;
  if (policy.source != nullptr) variants.num_alternatives += static_cast<uint32_t>(policy.source->alternatives.size());
  find_bands(policy, variants);
  find_masks(policy, variants);
  const size_t selections = (size_t{variants.num_alternatives} << variants.num_mask_bits) * 2 * variants.num_bands;
  variants.too_many = variants.too_many || selections > kMaxSelections;
  if (variants.too_many) return variants;
  for (uint32_t mask = 0; mask >> variants.num_mask_bits == 0; ++mask) {
    variants.alternative_of.push_back(used_under(policy, variants, mask));
  }
  fill_selector(policy, variants);
  return variants;
}

}  // namespace moe::codegen
