// SPDX-License-Identifier: Apache-2.0
// weight_rate(N, P): moving averages of what the router gave each expert of a layer.
#pragma once
#include "runtime/decision/context.h"

namespace moe::decision {

/// weight_rate number `i`, by key.
MOE_INLINE double* weight_rate(const State& s, const Params& p, uint32_t i) {
  return s.at<double>(s.predict().weight_rates) + size_t{i} * p.num_keys();
}

/// Of each expert of the layer: its largest probability where the router's are known, else its weight if selected.
template <class Rule>
MOE_INLINE void route(const Context<Rule>& ctx, const Input& in, const Output& out, uint32_t n, double* routed) {
  const uint32_t experts = ctx.p.num_experts;
  for (uint32_t e = 0; e < experts; ++e) routed[e] = 0;
  if (in.probabilities == nullptr) {
    for (uint32_t j = 0; j < n; ++j) routed[out.expert[j]] = static_cast<double>(out.weight[j]) + 0.0;
    return;
  }
  for (uint32_t token = 0; token < in.num_tokens; ++token) {
    const float* const row = in.probabilities + size_t{token} * experts;
    for (uint32_t e = 0; e < experts; ++e) {
      const double probability = static_cast<double>(row[e]);
      routed[e] = routed[e] < probability ? probability : routed[e];
    }
  }
}

/// Clears all of `routed` but the `largest` largest, ties by the lower id; `rest` is scratch of the same size.
MOE_FOLDED void keep_largest(double* routed, double* rest, uint32_t experts, uint32_t largest) {
  for (uint32_t e = 0; e < experts; ++e) {
    rest[e] = routed[e];
    routed[e] = 0;
  }
  for (; largest > 0; --largest) {
    uint32_t best = 0;
    for (uint32_t e = 1; e < experts; ++e) best = rest[e] > rest[best] ? e : best;
    if (!(rest[best] > 0)) return;  // the others move by 0 anyway
    routed[best] = rest[best];
    rest[best] = 0;
  }
}

/// rate += (x - rate) / N, x being the router's weight, or 0 of those beyond the `largest` largest.
template <class Rule>
MOE_FOLDED void update_weight_rates(const Context<Rule>& ctx, const Input& in, const Output& out, uint32_t n) {
  const uint32_t experts = ctx.p.num_experts;
  double* const routed = ctx.s.template at<double>(ctx.s.predict().routed);
  double* const x = routed + experts;
  double* const rest = x + experts;
  route(ctx, in, out, n, routed);
  for (uint32_t i = 0; i < ctx.p.num_weight_rates; ++i) {
    const WeightRate of = ctx.p.weight_rates[i];
    for (uint32_t e = 0; e < experts; ++e) x[e] = routed[e];
    if (of.largest != 0) keep_largest(x, rest, experts, of.largest);
    double* const rate = weight_rate(ctx.s, ctx.p, i) + size_t{ctx.layer} * experts;
    const double window = of.window;
    for (uint32_t e = 0; e < experts; ++e) rate[e] = rate[e] + (x[e] - rate[e]) / window;
  }
}

}  // namespace moe::decision
