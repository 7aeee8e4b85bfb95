// SPDX-License-Identifier: Apache-2.0
// Somebody who decides dispatches: code, a state of its own, and the arrays it writes to.
#pragma once
#include <memory>

#include "bench/baselines/baselines.h"
#include "bench/workload.h"
#include "runtime/decision/output_arrays.h"

namespace moe::bench {

class Contender {
 public:
  /// A kernel, in a fresh state of `params`, which outlive this.
  Contender(const decision::Params& params, decision::DispatchFn dispatch);
  /// Written by hand. `params`: of the policy that it decides as.
  Contender(const decision::Params& params, const Baseline& baseline);

  /// The `d`-th dispatch of `routing`; false: refused. What was decided is in output().
  bool decide(const Routing& routing, size_t d);
  const decision::Output& output() const { return output_; }
  decision::DispatchFn code() const { return dispatch_; }
  void* state() const { return state_.get(); }
  decision::Output& arrays() { return output_; }

 private:
  std::unique_ptr<void, void (*)(void*)> state_;
  decision::DispatchFn dispatch_;
  decision::OutputArrays arrays_;
  decision::Output output_;
};

/// The `d`-th dispatch of `routing`, which it points into.
decision::Input input_of(const Routing& routing, size_t d);

/// What a policy does on a whole routing, from a fresh state on.
struct Summary {
  double hit_rate = 0;
  double evicted = 0;  ///< per dispatch
};

/// Runs both over `routing`. Error: some dispatch was decided differently; says which.
Result<Summary> compare(Contender& a, Contender& b, const Routing& routing);
Result<Summary> summarize(Contender& contender, const Routing& routing);

}  // namespace moe::bench
