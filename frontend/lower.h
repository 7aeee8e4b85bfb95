// SPDX-License-Identifier: Apache-2.0
// The steps of lower(), one decision each.
#pragma once
#include <optional>

#include "frontend/check_block.h"
#include "ir/policy.h"

namespace moe::frontend {

/// The blocks of one policy whose values were checked; nullptr blocks were not written.
struct PolicyValues {
  const ast::Policy* policy = nullptr;
  const ast::Block* cache_block = nullptr;
  const ast::Block* prefetch_block = nullptr;
  const ast::Block* schedule_block = nullptr;
  const ast::Block* monitor_block = nullptr;
  const ast::Block* tiers_block = nullptr;
  BlockValues cache;
  BlockValues prefetch;
  BlockValues schedule;
  BlockValues monitor;
};

// Values to rules, defaults filled in.
ir::CacheRule lower_cache(const BlockValues& values);
ir::PrefetchRule lower_prefetch(const BlockValues& values);
ir::ScheduleRule lower_schedule(const BlockValues& values);
ir::MonitorRule lower_monitor(const BlockValues& values);

/// The `on miss` of a schedule block, if it has one.
std::optional<ir::Assignment> lower_on_miss(const CheckContext& context, const ast::Block& schedule, bool approximate);

/// All bands of the policy, by ascending layer, and its phases. `base`: the policy's own blocks.
std::vector<ir::Band> lower_bands(const CheckContext& context, const ast::Policy& policy, const ir::Rules& base);
std::vector<ir::PhaseRule> lower_phases(const CheckContext& context, const ast::Policy& policy, const ir::Rules& base);

// Rules about several keys at once.
void check_pins_fit(const ir::CacheRule& cache, ir::Diagnostics& diagnostics);
void check_pins_repeat(const std::vector<ir::Sourced<ir::Pin>>& pins, ir::Diagnostics& diagnostics);
/// Adapts the defaults of headroom and budget to what was written, in the base and in overrides, and reports values that
/// cannot hold together in the base, a band, a phase, or a band in a phase.
void check_rules_together(ir::Policy& policy, ir::Diagnostics& diagnostics);
/// What only replay knows, rates, `value`, learned: over everything that can be in force.
void check_in_force(const ir::Policy& policy, bool replay, ir::Diagnostics& diagnostics);
/// Warns of keys that were written, are not at their default, and that nothing reads.
void check_unread_keys(const PolicyValues& values, const ir::Policy& policy, ir::Diagnostics& diagnostics);

// Parts of the language that are checked but not lowered: their mistakes are found, and the caller reports MOE2900.
void check_adapt(const CheckContext& context, const ast::File& file, const ast::Block& block);
void check_actions(const CheckContext& context, const ast::File& file, const std::vector<ast::Item>& items);
void check_per_layer(const CheckContext& context, const ast::Block& block, const BlockValues& cache);
void check_tiers(const CheckContext& context, const ast::Block& block);
void check_memory(const CheckContext& context, const ast::File& file, const ast::Block& block);

/// A whole constant number of at least `least`; reports what is not, as the number of `what`.
std::optional<double> check_count(const CheckContext& context, ast::ExprId id, double least, std::string_view what);

}  // namespace moe::frontend
