// SPDX-License-Identifier: Apache-2.0
// A look into a state block: what its predictors said last.
#pragma once
#include "runtime/decision/predict/learner.h"
#include "runtime/decision/predict/told.h"

namespace moe::test {

inline double predicted_of(const decision::Params& p, const void* state, uint32_t key) {
  return decision::told(decision::State(p, const_cast<void*>(state)))[key];
}
inline double value_of(const decision::Params& p, const void* state, uint32_t key) {
  const decision::State s(p, const_cast<void*>(state));
  return s.at<double>(s.predict().values)[key];
}

}  // namespace moe::test
