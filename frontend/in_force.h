// SPDX-License-Identifier: Apache-2.0
// What can be in force in a policy, wherever it stands: in its blocks, a band, a phase, a rule or an action of memory.
#pragma once
#include <bitset>
#include <string_view>
#include <vector>

#include "ir/policy.h"

namespace moe::frontend {

/// Borrows from the policy. A value stands here once for each place that can put it in force.
struct InForce {
  template <class T>
  struct At {
    const T* value = nullptr;
    ir::SourceSpan span;
  };
  std::vector<At<ir::EvictionRule>> evictions;  ///< segments one by one, besides the rule that holds them
  std::vector<At<ir::StrategyChain>> strategies;
  std::vector<At<ir::ScheduleMode>> modes;
  std::vector<const ir::Expr*> exprs;  ///< all of the policy, not empty
  std::bitset<ir::kNumKeys> set;       ///< by Key: assigned by a band, a phase or a rule
  bool approximates = false;           ///< some arm changes the model's output, or some expert is dropped
  bool loads_behind = false;           ///< some arm is `cpu_load`
  bool presses = false;                ///< some rule triggers memory pressure
  bool answers_misses = false;         ///< there is an `on miss`
  bool answers_always = false;         ///< the policy's own: it replaces every `mode`

  bool evicts_by(ir::Eviction rule) const;
  bool asks(ir::Strategy strategy) const;
  bool asks_any() const;
  bool runs(ir::ScheduleMode mode) const;
  bool reads(ir::Variable variable) const { return variables[static_cast<size_t>(variable)]; }
  std::bitset<ir::kNumVariables> variables;  ///< that some expression reads
};

InForce find_in_force(const ir::Policy& policy);

/// Who would read the key, as the hint names it, when nothing in force does; "" when it is read.
std::string_view missing_reader(ir::Key key, const InForce& in_force, const ir::Policy& policy);

}  // namespace moe::frontend
