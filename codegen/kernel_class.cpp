// SPDX-License-Identifier: Apache-2.0
#include "codegen/kernel_class.h"

#include <algorithm>
#include <cstring>

#include "runtime/decision/expression.h"

namespace moe::codegen {
namespace {

using decision::Params;
using decision::Strategy;

#define MOE_KNOWN(field, value) known(offsetof(Params, field), sizeof(Params::field), value)
#define MOE_KNOWN_ROOM(field) \
  known(offsetof(Params, room) + offsetof(decision::Room, field), sizeof(decision::Room::field), 0)

KnownField known(size_t offset, size_t size, uint64_t value) {
  return {offset, size, size == 8 ? ~uint64_t{0} : ~uint32_t{0}, value};
}

std::vector<KnownField> operator+(std::vector<KnownField> fields, const std::vector<KnownField>& more) {
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

/// No learner, no table of predictions; all of a dispatch is protected, and nothing of it left out.
std::vector<KnownField> common() {
  return {
      MOE_KNOWN(next_strategies, 0),  MOE_KNOWN(protect_selected, 1),
      MOE_KNOWN(one_by_one, 0),       MOE_KNOWN(learn_window, 0),
      MOE_KNOWN(num_weight_rates, 0), MOE_KNOWN(profile, 0),
      MOE_KNOWN(num_remembered, 0),   MOE_KNOWN(has_prefetch_evict, 0),
      MOE_KNOWN(has_drop, 0),         MOE_KNOWN(balance, 0),
      MOE_KNOWN(balance_times, 0),    MOE_KNOWN_ROOM(balance),
      MOE_KNOWN_ROOM(rules_differ),   MOE_KNOWN(arrival, 0),
      MOE_KNOWN(side_buffer, 0),      MOE_KNOWN_ROOM(arrival),
      MOE_KNOWN_ROOM(side_buffer),    MOE_KNOWN(num_tier_sets, 0),
  };
}

/// Besides, nothing changes over time, and no predictor but `strategy`.
std::vector<KnownField> steady(Strategy strategy) {
  return common() + std::vector<KnownField>{
                        MOE_KNOWN(strategy, static_cast<uint64_t>(strategy)),
                        MOE_KNOWN(changes, 0),
                        MOE_KNOWN_ROOM(capacity),
                        MOE_KNOWN_ROOM(total_capacity),
                        MOE_KNOWN_ROOM(rules),
                        MOE_KNOWN_ROOM(strategies),
                        MOE_KNOWN_ROOM(history_window),
                        MOE_KNOWN_ROOM(budget),
                        MOE_KNOWN_ROOM(freq_window),
                        MOE_KNOWN_ROOM(ttl),
                        MOE_KNOWN_ROOM(capacity_varies),
                        MOE_KNOWN_ROOM(history_varies),
                        MOE_KNOWN_ROOM(lookahead),
                    };
}

/// Besides, every miss does the same, and in the order in which the experts appear; prefetch asks nothing.
std::vector<KnownField> unscheduled(Strategy strategy) {
  return steady(strategy) + std::vector<KnownField>{
                                MOE_KNOWN(prefetch_admit, decision::kPrefetchAlways),
                                MOE_KNOWN(has_when, 0),
                                MOE_KNOWN(has_order, 0),
                                MOE_KNOWN(hybrid, 0),
                                MOE_KNOWN(num_arms, 0),
                                MOE_KNOWN(limits_loads, 0),
                                MOE_KNOWN(loads_in_order, 0),
                                MOE_KNOWN(deadline_ms, 0),
                            };
}

/// Besides, no expression anywhere.
std::vector<KnownField> plain(Strategy strategy) {
  return unscheduled(strategy) + std::vector<KnownField>{
                                     MOE_KNOWN(admit, decision::kAdmitAlways),
                                     MOE_KNOWN(keeps, 0),
                                     MOE_KNOWN(num_rates, 0),
                                     MOE_KNOWN(num_steady, 0),
                                 };
}

/// Besides, nobody leaves but for a newcomer.
std::vector<KnownField> bare(Strategy strategy) {
  return plain(strategy) + std::vector<KnownField>{MOE_KNOWN(ttl, 0), MOE_KNOWN(memory_threshold, 0)};
}

/// What expressions read is of experts, but neither the cache's metrics nor predictions.
std::vector<KnownField> of_experts() {
  using namespace decision;
  return {{offsetof(Params, keeps), sizeof(Params::keeps),
           kCountsRates | kCountsPrefetches | kKeepsMeasured | kKeepsEntropy | kKeepsPredicted | kKeepsForetold |
               kKeepsValue | kLeastVaries,
           0}};
}

#undef MOE_KNOWN
#undef MOE_KNOWN_ROOM

KnownField without_bits(size_t offset, size_t size, uint64_t bits) { return {offset, size, bits, 0}; }

/// What holds changes, among rules with no other strategies than none, history, lookahead and gate.
std::vector<KnownField> changing() {
  constexpr uint32_t kOtherStrategies = ~uint32_t{3};
  constexpr uint32_t kOthersBits = ~uint32_t{15};
  using namespace decision;
  return common() +
         std::vector<KnownField>{
             without_bits(offsetof(Params, strategy), sizeof(Params::strategy), kOtherStrategies),
             without_bits(offsetof(Params, room) + offsetof(Room, strategies), sizeof(Room::strategies), kOthersBits),
             without_bits(offsetof(Params, keeps), sizeof(Params::keeps),
                          kKeepsPredicted | kKeepsForetold | kKeepsValue),
         };
}

}  // namespace

const std::vector<KernelClass>& kernel_classes() {
  // Never destroyed: the thread that compiles may outlive what it has made itself.
  static const auto& classes = *new const std::vector<KernelClass>([] {
    constexpr Strategy kStrategies[] = {Strategy::none, Strategy::history, Strategy::lookahead, Strategy::gate};
    std::vector<KernelClass> made;
    for (const Strategy strategy : kStrategies) made.push_back({bare(strategy), false, false});
    for (const Strategy strategy : kStrategies) made.push_back({plain(strategy), false, false});
    for (const Strategy strategy : kStrategies) made.push_back({unscheduled(strategy) + of_experts(), true, false});
    for (const Strategy strategy : kStrategies) made.push_back({steady(strategy) + of_experts(), true, false});
    made.push_back({changing(), true, true});
    return made;
  }());
  return classes;
}

const KernelClass* class_of(const std::vector<decision::Params>& variants, bool has_changes) {
  const auto belongs = [&](const KernelClass& its, const decision::Params& params) {
    if (decision::is_segmented(params) || (!its.has_expressions && decision::has_sites(params))) return false;
    return std::all_of(its.known.begin(), its.known.end(), [&](const KnownField& field) {
      uint64_t value = 0;
      std::memcpy(&value, reinterpret_cast<const char*>(&params) + field.offset, field.size);  // little endian
      return (value & field.mask) == field.value;
    });
  };
  for (const KernelClass& each : kernel_classes()) {
    const auto in_each = [&](const decision::Params& params) { return belongs(each, params); };
    if (each.has_changes == has_changes && std::all_of(variants.begin(), variants.end(), in_each)) return &each;
  }
  return nullptr;
}

}  // namespace moe::codegen
