// SPDX-License-Identifier: Apache-2.0
// most(E): the experts of the next layers, per layer by falling E.
#pragma once
#include "runtime/decision/predict/ranking.h"

namespace moe::decision {

/// Writes what it names to the ranking, the nearest layer first; returns how many.
template <class Rule>
MOE_FOLDED uint32_t name_most(const Context<Rule>& ctx) {
  Named* const ranking = ranking_of(ctx.s);
  uint32_t count = 0;
  for (uint32_t ahead = 1; ahead <= reach_of(ctx.p); ++ahead) {
    const uint32_t base = (ctx.layer + ahead) % ctx.p.num_layers * ctx.p.num_experts;
    for (uint32_t e = 0; e < ctx.p.num_experts; ++e) {
      const double value = moe_evaluate(&ctx.frame, kSiteMost, base + e, ctx.s.place_of(base + e), kNone);
      ranking[count] = {value, value, base + e, count};
      count += value > 0;
    }
  }
  return count;
}

}  // namespace moe::decision
