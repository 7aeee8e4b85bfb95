// SPDX-License-Identifier: Apache-2.0
// An instance takes over the rules that its layer's dispatch begins with: structures first, then the capacity.
#pragma once
#include "runtime/decision/phases.h"
#include "runtime/decision/rules/segmented.h"
#include "runtime/decision/window.h"

namespace moe::decision {

/// Sorts `places` by rising `before`: a heap sort, for there is nothing to allocate from and it may be all of a cache.
template <class Before>
inline void sort_places(uint32_t* places, uint32_t n, Before before) {
  const auto sink = [&](uint32_t at, uint32_t end) {
    for (uint32_t child = 2 * at + 1; child < end; child = 2 * at + 1) {
      if (child + 1 < end && before(places[child], places[child + 1])) ++child;
      if (!before(places[at], places[child])) return;
      const uint32_t other = places[at];
      places[at] = places[child];
      places[child] = other;
      at = child;
    }
  };
  for (uint32_t j = n / 2; j-- > 0;) sink(j, n);
  for (uint32_t end = n; end-- > 1;) {
    const uint32_t largest = places[0];
    places[0] = places[end];
    places[end] = largest;
    sink(0, end);
  }
}

/// Empty lists and no ghosts in instance `i`; the hand at the oldest. Of lots nothing: there is one generator.
MOE_INLINE void clear_queues(const Params& p, const State& s, uint32_t i) {
  const uint32_t keys = p.num_keys() / p.num_instances();
  const uint32_t first = i * keys;
  const uint32_t sentinel = p.num_keys() + i * kMaxLists;
  const auto clear = [&](Link* links) {
    for (uint32_t j = 0; j < keys; ++j) links[first + j] = {kNone, kNone};
    for (uint32_t j = 0; j < kMaxLists; ++j) links[sentinel + j] = {sentinel + j, sentinel + j};
  };
  for (uint32_t set = 0; set < num_queue_sets(p); ++set) {
    QueueState& queue = s.queue(set * p.num_instances() + i);
    queue = {};
    queue.hand = sentinel;
    if (has_links(p)) clear(s.links() + set * num_list_nodes(p));
    if (some_has(p, Eviction::lirs)) clear(s.second_links() + set * num_list_nodes(p));
    const size_t begin = size_t{set} * p.num_keys() + first;
    for (uint32_t j = 0; has_marks(p) && j < keys; ++j) s.marks()[begin + j] = 0;
    for (uint32_t j = 0; some_has(p, Eviction::w_tinylfu) && j < keys; ++j) s.use_counts()[begin + j] = 0;
  }
  for (uint32_t j = 0; some_has(p, Eviction::random) && j < key_words(p); ++j) s.bits(i)[j] = 0;
}

/// The residents of the dispatch's instance enter this rule's structures, in order of last use, ties by the earlier
/// load.
template <class Rule>
inline void adopt_residents(Context<Rule>& ctx) {
  const uint32_t i = ctx.instance;
  uint32_t* const places = ctx.s.sorted();
  const uint32_t first = ctx.s.first_place(i);
  uint32_t n = 0;
  for (uint32_t place = first; place < first + ctx.p.max_capacity(); ++place) {
    const Resident& r = ctx.s.resident(place);
    if (Rule::kRanked || Rule::kTagged) ctx.s.rank()[place] = kNeverVictim;
    if (r.key == kNone) continue;
    places[n++] = place;
    if (Rule::kTagged) ctx.s.tag()[place] = r.load << 28 | (place - first);
    if constexpr (Rule::kRanked) {
      const double freq = keeps(ctx.p, kKeepsFreq) ? ctx.s.freq()[place] : 0;
      if ((r.flags & kPinned) == 0) ctx.s.rank()[place] = Rule::rank_of_resident(freq, r.ema);
    }
  }
  const auto older_load = [&](uint32_t a, uint32_t b) { return ctx.s.resident(a).load < ctx.s.resident(b).load; };
  if (Rule::kOrder && !Rule::kTouches) {
    ctx.order(i).clear();
    sort_places(places, n, older_load);
    for (uint32_t j = 0; j < n; ++j) {
      if ((ctx.s.resident(places[j]).flags & kPinned) == 0) ctx.order(i).append(places[j]);
    }
  }
  if (!Rule::kTouches && !Rule::kQueue && !ctx.keeps_recency()) return;
  if (Rule::kTouches) ctx.order(i).clear();
  if (ctx.keeps_recency()) ctx.recency(i).clear();
  if constexpr (Rule::kQueue) {
    if (has_queues(ctx.p)) clear_queues(ctx.p, ctx.s, i);
  }
  uint32_t in_second = 0;  // of two segments the first holds what was used last
  if constexpr (Rule::kSegmented) {
    ctx.s.instance(i).in_segment[0] = ctx.s.instance(i).in_segment[1] = 0;
    const uint32_t first_holds = Rule::capacity(ctx, i, 0);
    in_second = n > first_holds ? n - first_holds : 0;
  }
  sort_places(places, n, [&](uint32_t a, uint32_t b) {
    const uint64_t left = ctx.s.resident(a).last_use, right = ctx.s.resident(b).last_use;
    return left != right ? left < right : older_load(a, b);
  });
  for (uint32_t j = 0; j < n; ++j) {
    const Resident& r = ctx.s.resident(places[j]);
    if constexpr (Rule::kSegmented) {
      Rule::insert_into(ctx, i, r.key, j < in_second ? 1 : 0);
    } else if constexpr (Rule::kQueue) {
      Rule::insert(ctx, i, r.key);
    }
    if ((r.flags & kPinned) != 0) continue;
    if (Rule::kTouches) ctx.order(i).append(places[j]);
    if (ctx.keeps_recency()) ctx.recency(i).append(places[j]);
  }
}

/// Residents beyond the capacity leave by the rule that the instance has.
template <class Rule>
inline void shrink(Context<Rule>& ctx, uint32_t i) {
  while (ctx.s.instance(i).num_free < 0) {
    const uint32_t victim = find_victim(ctx, i, kNone, [](uint32_t) { return true; });
    if (victim == kNone) return;
    ctx.evict(victim, /*as_victim=*/true);
  }
  if constexpr (Rule::kSegmented) Rule::shrink(ctx, i);
}

/// The structures of the rule, and who is resident, do not know yet.
MOE_INLINE void set_capacity(Instance& instance, uint32_t capacity) {
  instance.num_free += static_cast<int32_t>(capacity - instance.capacity);
  instance.capacity = capacity;
}

/// After another capacity of instance `i`, whose structures are this rule's.
template <class Rule>
inline void resize(Context<Rule>& ctx, uint32_t i) {
  if constexpr (Rule::kQueue) Rule::resize(ctx, i);
  shrink(ctx, i);
}

template <class Rule>
inline void install_anew(Context<Rule>& ctx) {
  const uint32_t i = ctx.instance;
  Instance& instance = ctx.s.instance(i);
  const Params& before = changes_of(ctx.p)->variants[instance.variant];
  instance.variant = ctx.p.variant;
  const uint32_t old_capacity = instance.capacity;
  if (ctx.p.room.capacity_varies == kByRules) set_capacity(instance, ctx.p.capacity);
  if (has_window(ctx.p) && before.freq_window != ctx.p.freq_window) recount_window(ctx);
  const bool other_segments = Rule::kSegmented && before.eviction_number != ctx.p.eviction_number;
  if (before.eviction != ctx.p.eviction || other_segments) {
    adopt_residents(ctx);
  } else if constexpr (Rule::kQueue) {
    if (instance.capacity != old_capacity) Rule::resize(ctx, i);
  }
  if (ctx.p.room.capacity_varies != 0) shrink(ctx, i);
}

template <class Rule>
MOE_INLINE void install(Context<Rule>& ctx, [[maybe_unused]] Output& out) {
  ctx.s.header().variant = ctx.p.variant;
  if (ctx.s.instance(ctx.instance).variant == ctx.p.variant) return;
  if constexpr (Phases<Rule>::kFindVictims) {
    if (has_phases(ctx.p)) return call_phase(ctx, out, Phases<Rule>::kInstall);
  }
  install_anew(ctx);
}

}  // namespace moe::decision
