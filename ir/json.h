// SPDX-License-Identifier: Apache-2.0
// Values as JSON: what the printers of the IR and of its bound form share.
#pragma once
#include <nlohmann/json.hpp>

#include "ir/policy.h"

namespace moe::ir {

using Json = nlohmann::ordered_json;

/// Text that is not UTF-8 is replaced, never thrown at the caller.
std::string dump(const Json& json);

/// null: not set.
Json key_json(Key key, const KeyValue& value);
Json arms_json(const std::vector<Arm>& arms);
Json expr_json(const Expr& expr);
Json capacity_json(const Capacity& capacity);
Json rules_json(const std::vector<AdaptRule>& rules);
Json per_layer_json(const PerLayerRule& rule);
Json learn_json(const LearnRule& learn);
Json tiers_json(const TiersRule& tiers);
Json actions_json(const std::vector<RuleAction>& actions);

template <class T, class ToJson>
Json json_or_null(const std::optional<T>& value, ToJson to_json) {
  return value ? to_json(*value) : Json(nullptr);
}

}  // namespace moe::ir
