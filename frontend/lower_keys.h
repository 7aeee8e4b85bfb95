// SPDX-License-Identifier: Apache-2.0
// Keys of cache, prefetch and schedule as data of the IR: what the blocks, overrides and rules share.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "frontend/check_block.h"
#include "ir/keys.h"

namespace moe::frontend {

/// A checked value as the IR has it. nullopt: it was wrong, which has been reported.
std::optional<ir::KeyValue> to_key_value(const KeySpec& key, const CheckedValue& value);

/// An override of one key, as an adapt rule writes it: checks `value`. nullopt: it was wrong, or the key can stand only
/// in the block itself; both have been reported. `block`: "cache", "prefetch" or "schedule" (others are reported).
std::optional<ir::Assignment> lower_assignment(const CheckContext& context, std::string_view block, const KeySpec& key,
                                               ir::SourceSpan key_span, ast::ExprId value);

/// The overrides of a block in a band or a phase, in order of text. Keys that cannot be overridden are reported, except
/// `pin` and `preload`, which are the caller's.
std::vector<ir::Assignment> lower_overrides(const CheckContext& context, std::string_view block,
                                            const BlockValues& values, std::string_view override_of);

/// The short forms of a block, each a rule that reverts, in order of text.
void lower_short_forms(std::string_view block, const BlockValues& values, std::vector<ir::AdaptRule>& rules);

}  // namespace moe::frontend
