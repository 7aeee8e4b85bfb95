// SPDX-License-Identifier: Apache-2.0
// The steps of lower(), one decision each.
#pragma once
#include <optional>

#include "frontend/check_block.h"
#include "frontend/link.h"
#include "frontend/lower_rules.h"
#include "frontend/scope.h"
#include "ir/policy.h"

namespace moe::frontend {

/// What all policies of a file share.
struct FileContext {
  const Linked& linked;
  std::vector<ParsedSetting>& settings;
  ir::Diagnostics& diagnostics;
  size_t* nodes_left = nullptr;  ///< as in CheckContext
  bool replay = false;           ///< as in LowerOptions
};

/// A policy by itself: what it names is not in place yet.
struct LoweredPolicy {
  ir::Policy policy;
  std::vector<UsedPolicy> used;
};
/// `policy`: with what it inherits.
LoweredPolicy lower_policy(const FileContext& file, const ast::Policy& policy);

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

/// The `on miss` of a schedule block, if it has one. lower_arms of lower_rules.h reads what is in it.
std::optional<ir::Assignment> lower_on_miss(const CheckContext& context, const ast::Block& schedule, bool approximate);

/// All bands of the policy, by ascending layer, and its phases. `base`: the policy's own blocks.
std::vector<ir::Band> lower_bands(const CheckContext& context, const ast::Policy& policy, const ir::Rules& base);
std::vector<ir::PhaseRule> lower_phases(const CheckContext& context, const ast::Policy& policy, const ir::Rules& base);

// Rules about several keys at once.
void check_pins_fit(const ir::CacheRule& cache, ir::Diagnostics& diagnostics);
void check_pins_repeat(const std::vector<ir::Sourced<ir::Pin>>& pins, ir::Diagnostics& diagnostics);
void check_pins_in_bands(const ir::Policy& policy, ir::Diagnostics& diagnostics);
/// `drop` without consent; the arms of `on miss` are judged by lower_on_miss.
void check_consent(const ir::Policy& policy, ir::Diagnostics& diagnostics);
/// Adapts the defaults of headroom and budget to what was written, in the base and in overrides, and reports values
/// that cannot hold together in the base, a band, a phase, or a band in a phase.
void check_rules_together(ir::Policy& policy, ir::Diagnostics& diagnostics);
/// What only replay knows, rates, `value`, learned: over everything that can be in force.
void check_in_force(const ir::Policy& policy, bool replay, ir::Diagnostics& diagnostics);
/// Warns of keys that were written, are not at their default, and that nothing reads.
void check_unread_keys(const PolicyValues& values, const ir::Policy& policy, ir::Diagnostics& diagnostics);

}  // namespace moe::frontend
