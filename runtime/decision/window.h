// SPDX-License-Identifier: Apache-2.0
// What freq_threshold reads, kept under every rule where some variant of the policy has it: the instance's last
// accesses, and who was prefetched and still waits for its layer.
#pragma once
#include "runtime/decision/context.h"

namespace moe::decision {

/// The access enters the window, and the oldest leaves it.
template <class Rule>
MOE_INLINE void count_in_window(Context<Rule>& ctx, uint32_t key, uint64_t access) {
  const uint64_t most = max_freq_window(ctx.p);
  uint32_t* const ring = ctx.s.ring(ctx.instance);
  const uint64_t window = ctx.p.freq_window;
  if (access > window) --ctx.s.counts()[ring[(access - 1 - window) % most]];
  ring[(access - 1) % most] = key;
  ++ctx.s.counts()[key];
}

/// Another length of the window: the counts anew.
template <class Rule>
inline void recount_window(Context<Rule>& ctx) {
  const uint64_t window = ctx.p.freq_window;
  const uint64_t most = max_freq_window(ctx.p);
  const uint32_t* const ring = ctx.s.ring(ctx.instance);
  const uint64_t accesses = ctx.s.instance(ctx.instance).accesses;
  const uint32_t keys = ctx.p.num_keys() / ctx.p.num_instances();
  uint32_t* const counts = ctx.s.counts() + size_t{ctx.instance} * keys;
  for (uint32_t j = 0; j < keys; ++j) counts[j] = 0;
  const uint64_t length = accesses < window ? accesses : window;
  for (uint64_t j = 0; j < length; ++j) ++ctx.s.counts()[ring[(accesses - 1 - j) % most]];
}

/// The layer has run: what was prefetched for it is judged like every other resident from now on. True: somebody was.
template <class Rule>
inline bool end_exemption(Context<Rule>& ctx) {
  if (ctx.s.header().num_exempt == 0) return false;
  bool any = false;
  const uint32_t first = ctx.s.first_place(ctx.instance);
  for (uint32_t place = first; place < first + ctx.p.max_capacity(); ++place) {
    Resident& r = ctx.s.resident(place);
    if (r.key == kNone || (r.flags & kExempt) == 0 || r.key / ctx.p.num_experts != ctx.layer) continue;
    r.flags &= ~static_cast<uint32_t>(kExempt);
    --ctx.s.header().num_exempt;
    any = true;
  }
  return any;
}

}  // namespace moe::decision
