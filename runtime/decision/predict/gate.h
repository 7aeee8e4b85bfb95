// SPDX-License-Identifier: Apache-2.0
// gate: what the engine expects of the layers to come.
#pragma once
#include "runtime/decision/context.h"

namespace moe::decision {

/// The hint for `layer`; null: there is none.
MOE_INLINE const Hint* hint_for(const Input& in, uint32_t layer) {
  if (in.hints == nullptr || in.hints[layer].count == 0) return nullptr;
  return &in.hints[layer];
}
/// A probability of -0 becomes +0: ranks compare bits.
MOE_INLINE double hinted(const Hint& hint, uint32_t i) { return static_cast<double>(hint.probabilities[i]) + 0.0; }

MOE_INLINE double hinted_of(const Input& in, uint32_t layer, uint32_t expert) {
  const Hint* const hint = hint_for(in, layer);
  for (uint32_t j = 0; hint != nullptr && j < hint->count; ++j) {
    if (hint->ids[j] == expert) return hinted(*hint, j);
  }
  return 0;
}

/// In the hint's order. Returns whether there is one.
template <class Rule, class List>
MOE_INLINE bool offer_hint(const Context<Rule>& ctx, const Input& in, uint32_t layer, List& list) {
  const Hint* const hint = hint_for(in, layer);
  if (hint == nullptr) return false;
  for (uint32_t j = 0; j < hint->count && !list.full(); ++j) {
    list.offer(layer * ctx.p.num_experts + hint->ids[j], hinted(*hint, j), j + 1);
  }
  return true;
}

}  // namespace moe::decision
