// SPDX-License-Identifier: Apache-2.0
// What is counted when a dispatch begins, of every expert, resident or not; and the order in which it is decided.
#pragma once
#include "runtime/decision/arrival.h"
#include "runtime/decision/drop.h"
#include "runtime/decision/metrics.h"
#include "runtime/decision/phases.h"
#include "runtime/decision/weight_rate.h"

namespace moe::decision {

/// use_rate(N): rate += (x - rate) / N for every expert of the layer, x being 1 for those selected.
template <class Rule>
MOE_INLINE void update_rates(Context<Rule>& ctx) {
  const uint32_t base = ctx.layer * ctx.p.num_experts;
  const uint64_t* const stamps = ctx.s.stamps();
  for (uint32_t i = 0; i < ctx.p.num_rates; ++i) {
    double* const rate = ctx.s.rate(i) + base;
    const double window = ctx.p.rates[i];
#ifdef __clang__  // rows of the state block do not overlap
#pragma clang loop vectorize(assume_safety)
#endif
    for (uint32_t e = 0; e < ctx.p.num_experts; ++e) {
      const double x = stamps[e] == ctx.epoch ? 1.0 : 0.0;
      rate[e] = rate[e] + (x - rate[e]) / window;
    }
  }
}

/// Another request than that of the dispatch before: its uses begin anew.
template <class Rule>
MOE_INLINE void note_request(Context<Rule>& ctx, const Input& in) {
  Header& header = ctx.s.header();
  header.new_request = header.request_epoch == 0 || header.request != in.request;
  header.request = in.request;
  header.request_epoch += header.new_request;
}

/// A NaN comes last.
MOE_INLINE bool comes_before(double a, double b) { return a < b || (b != b && a == a); }

/// Sorts entries by rising order_value, ties as they are.
template <class Rule>
inline void sort_entries_here(Context<Rule>& ctx, Output& out, uint32_t n) {
  Entry* const entries = ctx.s.entries();
  for (uint32_t j = 1; j < n; ++j) {
    const Entry entry = entries[j];
    const uint32_t expert = out.expert[j], selections = out.num_selections[j];
    const float weight = out.weight[j];
    uint32_t at = j;
    for (; at > 0 && comes_before(entry.order_value, entries[at - 1].order_value); --at) {
      entries[at] = entries[at - 1];
      out.expert[at] = out.expert[at - 1];
      out.num_selections[at] = out.num_selections[at - 1];
      out.weight[at] = out.weight[at - 1];
    }
    entries[at] = entry;
    out.expert[at] = expert;
    out.num_selections[at] = selections;
    out.weight[at] = weight;
  }
  for (uint32_t j = 0; j < n; ++j) ctx.s.entry_of()[out.expert[j]] = j;
}

template <class Rule>
MOE_INLINE void sort_entries(Context<Rule>& ctx, Output& out, uint32_t n) {
#ifdef MOE_CALLS_PHASES
  const Frame& frame = ctx.frame;
  moe_phase_sort_entries(frame.params, &moe_layout, frame.block, frame.input, &out, n);
#else
  sort_entries_here(ctx, out, n);
#endif
}

template <class Rule>
inline void put_in_order(Context<Rule>& ctx, Output& out, uint32_t n) {
  Entry* const entries = ctx.s.entries();
  const uint32_t base = ctx.layer * ctx.p.num_experts;
  for (uint32_t j = 0; j < n; ++j) {
    const uint32_t key = base + out.expert[j];
    entries[j].order_value = ctx.ask(kSiteOrder, key, ctx.s.place_of(key), kNone);
  }
  sort_entries(ctx, out, n);
}

/// Whatever `order` says: hits, then what comes from the side buffer, then misses.
template <class Rule>
inline void put_side_after_hits(Context<Rule>& ctx, Output& out, uint32_t n) {
  for (uint32_t j = 0; j < n; ++j) {
    const uint32_t key = ctx.layer * ctx.p.num_experts + out.expert[j];
    const double otherwise = ctx.s.aside()[key] != 0 ? 1 : 2;
    ctx.s.entries()[j].order_value = ctx.place_to_hit(key) != kNone ? 0 : otherwise;
  }
  sort_entries(ctx, out, n);
}

/// One kept part of least(E), of a layer whose keys begin with `first`. The part is a constant: so is the site, and
/// what is asked there.
template <uint32_t Part, class Rule>
MOE_INLINE void update_part(Context<Rule>& ctx, uint32_t first) {
  if (Part >= ctx.p.num_steady) return;
  double* const values = ctx.s.steady(Part) + first;
#ifdef __clang__  // they are not among what they are made of
#pragma clang loop vectorize(assume_safety)
#endif
  for (uint32_t j = 0; j < ctx.p.num_experts; ++j)
    values[j] = ctx.ask(first_steady_site(ctx.p) + Part, first + j, kNone, kNone);
}

/// Of the layer's experts; the first time, of all.
template <class Rule>
MOE_INLINE void update_steady(Context<Rule>& ctx) {
  uint32_t& known = ctx.s.header().steady_known;
  const uint32_t first = known != 0 ? ctx.layer : 0;
  const uint32_t end = known != 0 ? ctx.layer + 1 : ctx.p.num_layers;
  known = 1;
  static_assert(kMaxSteady == 3);
  for (uint32_t layer = first; layer < end; ++layer) {
    update_part<0>(ctx, layer * ctx.p.num_experts);
    update_part<1>(ctx, layer * ctx.p.num_experts);
    update_part<2>(ctx, layer * ctx.p.num_experts);
  }
}

/// Before the first decision of a dispatch that selects `n` experts. Returns how many of them are not left out.
template <class Rule>
MOE_INLINE uint32_t begin_dispatch(Context<Rule>& ctx, const Input& in, Output& out, uint32_t n) {
  const Params& p = ctx.p;
  const uint32_t base = ctx.layer * p.num_experts;
  if (counts_dispatches(p)) ++ctx.s.layer_dispatches()[ctx.layer];
  if (reads_requests(p)) note_request(ctx, in);
  if (p.num_rates != 0) update_rates(ctx);
  if (p.num_weight_rates != 0) update_weight_rates(ctx, in, out, n);
  if (p.has_drop != 0) n = leave_out(ctx, out, n);
  if (has_sites(p)) {
    for (uint32_t j = 0; j < n; ++j) {
      ctx.s.entries()[j].position = j;
      ctx.s.entries()[j].was_resident = ctx.place_to_hit(base + out.expert[j]) != kNone;
    }
  }
  if (p.has_order != 0) put_in_order(ctx, out, n);
  if (uses_side_buffer(p) && p.side_buffer != 0) put_side_after_hits(ctx, out, n);
  if (loads_arrive(p)) arrive(ctx);
  if (keeps(p, kKeepsEntropy)) note_routing(ctx, out.expert, n);
  for (uint32_t j = 0; keeps(p, kKeepsIdle | kKeepsRequestUses) && j < n; ++j) {
    const uint32_t key = base + out.expert[j];
    if (keeps(p, kKeepsIdle)) ctx.s.last_dispatch()[key] = ctx.s.layer_dispatches()[ctx.layer];
    if (!keeps(p, kKeepsRequestUses)) continue;
    const uint64_t request = ctx.s.header().request_epoch;
    uint64_t& uses = ctx.s.request_uses()[key];
    uses = ctx.s.request_epoch()[key] == request ? uses + 1 : 1;
    ctx.s.request_epoch()[key] = request;
  }
  if (p.num_steady != 0) update_steady(ctx);
  return n;
}

/// The access has the number `access`: counters that fade fade first.
template <class Rule>
MOE_INLINE void record_access(Context<Rule>& ctx, uint32_t key, uint64_t access) {
  const Params& p = ctx.p;
  if (keeps(p, kKeepsFreq | kKeepsSeen) && access % p.decay_interval == 0) {
    if (keeps(p, kKeepsFreq)) {
      ctx.ranked_all = false;
      double* const freq = ctx.s.freq() + ctx.s.first_place(ctx.instance);
      for (size_t j = 0; j < padded_capacity(p); ++j) freq[j] *= p.frequency_decay;
    }
    if (keeps(p, kKeepsSeen)) {
      const uint32_t keys = p.scope_layer != 0 ? p.num_experts : p.num_keys();
      double* const seen = ctx.s.seen() + (p.scope_layer != 0 ? ctx.layer * p.num_experts : 0);
      for (uint32_t j = 0; j < keys; ++j) seen[j] *= p.frequency_decay;
    }
  }
  if (keeps(p, kKeepsSeen)) ctx.s.seen()[key] += 1;
  if (keeps(p, kKeepsLastAccess)) ctx.s.last_access()[key] = access;
}

}  // namespace moe::decision
