// SPDX-License-Identifier: Apache-2.0
// `drop`: selected experts that are left out of a dispatch before anything is decided of it.
#pragma once
#include "runtime/decision/context.h"

namespace moe::decision {

/// Returns how many experts are left; the others are listed in `out`. To the rest of the dispatch they were not
/// selected.
template <class Rule>
inline uint32_t leave_out(Context<Rule>& ctx, Output& out, uint32_t n) {
  const uint32_t base = ctx.layer * ctx.p.num_experts;
  Entry* const entries = ctx.s.entries();
  for (uint32_t j = 0; j < n; ++j) entries[j].position = entries[j].was_resident = 0;
  // All are asked before the first goes: conditions see the whole dispatch.
  for (uint32_t j = 0; j < n; ++j) {
    const uint32_t key = base + out.expert[j];
    entries[j].on_host = ctx.ask(kSiteDrop, key, ctx.s.place_of(key), kNone) != 0;
  }
  uint32_t kept = 0;
  for (uint32_t j = 0; j < n; ++j) {
    const uint32_t expert = out.expert[j];
    if (entries[j].on_host != 0) {
      out.dropped[out.num_dropped++] = expert;
      ctx.s.stamps()[expert] = 0;
      continue;
    }
    ctx.s.entry_of()[expert] = kept;
    out.expert[kept] = expert;
    out.num_selections[kept] = out.num_selections[j];
    out.weight[kept] = out.weight[j];
    ++kept;
  }
  return kept;
}

}  // namespace moe::decision
