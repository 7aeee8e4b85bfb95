// SPDX-License-Identifier: Apache-2.0
#include "codegen/kernel_class.h"

#include <algorithm>
#include <cstring>

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

/// Nothing changes over time, no learner, no predictor but `strategy`, no metric; all of a dispatch is protected.
std::vector<KnownField> steady(Strategy strategy) {
  return {
      MOE_KNOWN(strategy, static_cast<uint64_t>(strategy)),
      MOE_KNOWN(next_strategies, 0),
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
      MOE_KNOWN_ROOM(rules_differ),
      MOE_KNOWN_ROOM(history_varies),
      MOE_KNOWN_ROOM(balance),
      MOE_KNOWN_ROOM(lookahead),
      MOE_KNOWN(protect_selected, 1),
      MOE_KNOWN(one_by_one, 0),
      MOE_KNOWN(learn_window, 0),
      MOE_KNOWN(num_weight_rates, 0),
      MOE_KNOWN(profile, 0),
      MOE_KNOWN(num_remembered, 0),
      MOE_KNOWN(has_prefetch_evict, 0),
      MOE_KNOWN(has_drop, 0),
      MOE_KNOWN(balance, 0),
      MOE_KNOWN(balance_times, 0),
  };
}

/// Besides, no expression anywhere, and every miss does the same.
std::vector<KnownField> plain(Strategy strategy) {
  std::vector<KnownField> fields = steady(strategy);
  for (const KnownField& field :
       {MOE_KNOWN(admit, decision::kAdmitAlways), MOE_KNOWN(prefetch_admit, decision::kPrefetchAlways),
        MOE_KNOWN(keeps, 0), MOE_KNOWN(has_when, 0), MOE_KNOWN(has_order, 0), MOE_KNOWN(hybrid, 0),
        MOE_KNOWN(num_arms, 0), MOE_KNOWN(num_rates, 0), MOE_KNOWN(limits_loads, 0), MOE_KNOWN(loads_in_order, 0),
        MOE_KNOWN(deadline_ms, 0)}) {
    fields.push_back(field);
  }
  return fields;
}

/// Besides, expressions of experts, but not of the cache's metrics nor of predictions.
std::vector<KnownField> asking(Strategy strategy) {
  using namespace decision;
  std::vector<KnownField> fields = steady(strategy);
  fields.push_back({offsetof(Params, keeps), sizeof(Params::keeps),
                    kCountsRates | kCountsPrefetches | kKeepsMeasured | kKeepsEntropy | kKeepsPredicted |
                        kKeepsForetold | kKeepsValue,
                    0});
  return fields;
}

#undef MOE_KNOWN
#undef MOE_KNOWN_ROOM

}  // namespace

const std::vector<KernelClass>& kernel_classes() {
  static const std::vector<KernelClass> classes = {
      {"plain", plain(Strategy::none)},
      {"plain_history", plain(Strategy::history)},
      {"plain_lookahead", plain(Strategy::lookahead)},
      {"plain_gate", plain(Strategy::gate)},
      {"asking", asking(Strategy::none)},
      {"asking_history", asking(Strategy::history)},
      {"asking_gate", asking(Strategy::gate)},
  };
  return classes;
}

const KernelClass* class_of(const decision::Params& params) {
  const auto has = [&](const KnownField& field) {
    uint64_t value = 0;
    std::memcpy(&value, reinterpret_cast<const char*>(&params) + field.offset, field.size);  // little endian
    return (value & field.mask) == field.value;
  };
  for (const KernelClass& each : kernel_classes()) {
    if (std::all_of(each.known.begin(), each.known.end(), has)) return &each;
  }
  return nullptr;
}

}  // namespace moe::codegen
