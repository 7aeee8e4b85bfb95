// SPDX-License-Identifier: Apache-2.0
// mode = balance: HybriMoE's greedy schedule (arXiv 2504.05897). The experts of the dispatch in a list, residents
// first, then by falling tokens. While the head's time on the GPU would end no later than the tail's on the host the
// GPU takes the head, else the host takes the tail. A load starts when the one before has ended, and the GPU waits for
// it.
#pragma once
#include "runtime/decision/context.h"

namespace moe::decision {

/// What a time says that the policy writes; `otherwise` where it writes none.
template <class Rule>
MOE_INLINE double time_of(const Context<Rule>& ctx, uint32_t bit, uint32_t site, uint32_t key, double otherwise) {
  if ((ctx.p.balance_times & bit) == 0) return otherwise;
  return ctx.ask(site, key, ctx.s.place_of(key), kNone);
}

/// Which experts the host computes, residents too: Entry::on_host. Entry::saved_rank holds the list's order meanwhile.
template <class Rule>
inline void balance(Context<Rule>& ctx, const Output& out, uint32_t n) {
  Entry* const entries = ctx.s.entries();
  const uint32_t base = ctx.layer * ctx.p.num_experts;
  uint32_t* const list = ctx.s.balance_list();
  for (uint32_t j = 0; j < n; ++j) entries[j].on_host = 0;
  const auto here = [&](uint32_t entry) { return ctx.place_to_hit(base + out.expert[entry]) != kNone; };
  const auto before = [&](uint32_t a, uint32_t b) {
    return here(a) != here(b) ? here(a) : out.num_selections[a] > out.num_selections[b];
  };
  for (uint32_t j = 0; j < n; ++j) {
    uint32_t at = j;
    for (; at > 0 && before(j, list[at - 1]); --at) list[at] = list[at - 1];
    list[at] = j;
  }
  double gpu = 0, host = 0, link = 0;
  bool any_on_host = false;
  for (uint32_t head = 0, tail = n; head < tail;) {
    const uint32_t first = base + out.expert[list[head]];
    const uint32_t last = base + out.expert[list[tail - 1]];
    const double load = time_of(ctx, kWritesLoadTime, kSiteLoadTime, first, load_ms(ctx.frame));
    const double arrival = here(list[head]) ? 0.0 : link + load;
    const double ready = gpu < arrival ? arrival : gpu;
    const double gpu_done = ready + time_of(ctx, kWritesGpuTime, kSiteGpuTime, first, 0.0);
    const double setup = any_on_host ? 0.0 : time_of(ctx, kWritesCpuSetup, kSiteCpuSetup, last, 0.0);
    const double tokens = static_cast<double>(out.num_selections[list[tail - 1]]);
    const double host_done = host + time_of(ctx, kWritesCpuTime, kSiteCpuTime, last, cpu_ms(ctx.frame, tokens)) + setup;
    if (!(gpu_done > host_done)) {  // a time that nobody knows sends nothing to the host
      gpu = gpu_done;
      if (!here(list[head])) link = arrival;
      ++head;
    } else {
      host = host_done;
      entries[list[tail - 1]].on_host = 1;
      any_on_host = true;
      --tail;
    }
  }
}

}  // namespace moe::decision
