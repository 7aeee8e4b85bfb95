// SPDX-License-Identifier: Apache-2.0
// What a condition can come to, from the ranges of what it reads.
#pragma once
#include <optional>

#include "ir/expr.h"

namespace moe::frontend {

/// Closed; infinite where nothing is known.
struct ValueRange {
  double low = 0;
  double high = 0;
};

/// The values a variable can have: a rate lies in 0..1, nothing is negative.
ValueRange range_of(ir::Variable variable);

struct Outcomes {
  bool can_hold = true;
  bool can_fail = true;
};

/// Whether the condition can hold and can fail, as far as intervals tell. `phase`: the one it is judged in, if any.
/// Rates that are not known yet are left aside. Cost: linear; no recursion.
Outcomes outcomes_of(const ir::Expr& condition, std::optional<ir::Phase> phase = std::nullopt);

/// A condition that bounds one variable by constants and says nothing else: `hit_rate < 0.5`, `0.2 < x and x <= 0.4`.
struct Region {
  ir::Variable variable = ir::Variable::hit_rate;
  ValueRange range;
  bool low_is_open = false;  ///< the ends do not belong to it
  bool high_is_open = false;

  bool is_empty() const;
  bool contains(const Region& other) const;  ///< of the same variable
  bool meets(const Region& other) const;     ///< of the same variable: some value is in both
};
std::optional<Region> region_of(const ir::Expr& condition);

}  // namespace moe::frontend
