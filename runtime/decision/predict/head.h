// SPDX-License-Identifier: Apache-2.0
// One logistic model of the learner: an output for each expert of a layer, from ten inputs of its own and from choices,
// the experts of the last dispatches, which all of them share.
//
// Each output is a sum in a fixed order, and each product and sum is rounded: so loops run over the outputs, which know
// nothing of one another, and vectorise.
#pragma once
#include "runtime/base/math.h"
#include "runtime/decision/layout.h"

// Rows of the state block do not overlap, which no compiler can see.
#ifdef __clang__
#define MOE_EACH_OUTPUT _Pragma("clang loop vectorize(assume_safety)")
#else
#define MOE_EACH_OUTPUT _Pragma("GCC ivdep")
#endif

namespace moe::decision {

/// An input that a layer's experts share: somebody chosen in one of the last dispatches.
struct Choice {
  uint32_t row;  ///< (dispatches ago - 1) * num_experts + expert
  uint32_t reserved;
  double value;
};

/// What a head is asked with. Borrowed.
struct HeadInputs {
  const Choice* choices;  ///< oldest dispatch first, experts ascending
  uint32_t num_choices;
  double squares;       ///< of the choices' values, summed in order
  const double* dense;  ///< [kNumDenseInputs][experts]; the last row is not read
  const double* last;   ///< [experts]: the row in its place
};

/// A model of `experts` outputs. Borrowed.
struct Head {
  double* choice_weights;  ///< [row][experts]
  double* dense_weights;   ///< [kNumDenseInputs][experts]
  uint32_t experts;

  static MOE_FOLDED const double* dense_row(const HeadInputs& in, uint32_t i, uint32_t experts) {
    return i + 1 == kNumDenseInputs ? in.last : in.dense + size_t{i} * experts;
  }

  /// Cost: (choices + 10) x experts.
  MOE_FOLDED void evaluate(const HeadInputs& in, double* outputs) const {
    const uint32_t n = experts;
    for (uint32_t e = 0; e < n; ++e) outputs[e] = 0;
    for (uint32_t i = 0; i < kNumDenseInputs; ++i) {
      const double* const weights = dense_weights + size_t{i} * n;
      const double* const inputs = dense_row(in, i, n);
      MOE_EACH_OUTPUT
      for (uint32_t e = 0; e < n; ++e) outputs[e] += weights[e] * inputs[e];
    }
    for (uint32_t j = 0; j < in.num_choices; ++j) {
      const double* const weights = choice_weights + size_t{in.choices[j].row} * n;
      const double value = in.choices[j].value;
      MOE_EACH_OUTPUT
      for (uint32_t e = 0; e < n; ++e) outputs[e] += weights[e] * value;
    }
    MOE_EACH_OUTPUT
    for (uint32_t e = 0; e < n; ++e) outputs[e] = math::sigmoid(outputs[e]);
  }

  /// A step of stochastic gradient descent. `errors`: target - output, for outputs that `in` gave.
  MOE_FOLDED void learn(const HeadInputs& in, const double* errors, double rate) const {
    constexpr double kLargestStep = 2;  // of rate x the inputs' sum of squares: many inputs must not overshoot
    const uint32_t n = experts;
    const double choice_rate = in.squares * rate > kLargestStep ? kLargestStep / in.squares : rate;
    for (uint32_t j = 0; j < in.num_choices; ++j) {
      const double step = choice_rate * in.choices[j].value;
      double* const weights = choice_weights + size_t{in.choices[j].row} * n;
      MOE_EACH_OUTPUT
      for (uint32_t e = 0; e < n; ++e) weights[e] += step * errors[e];
    }
    const double dense_rate = rate / 10;
    for (uint32_t i = 0; i < kNumDenseInputs; ++i) {
      double* const weights = dense_weights + size_t{i} * n;
      const double* const inputs = dense_row(in, i, n);
      MOE_EACH_OUTPUT
      for (uint32_t e = 0; e < n; ++e) weights[e] += dense_rate * inputs[e] * errors[e];
    }
  }
};

}  // namespace moe::decision
