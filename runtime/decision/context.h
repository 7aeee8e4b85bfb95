// SPDX-License-Identifier: Apache-2.0
// One dispatch in progress: the state, what the caller gave, what was decided so far, and the moves every rule shares.
#pragma once
#include <bit>

#include "runtime/decision/tier_calls.h"

namespace moe::decision {

/// What a rule must provide; rules/*.h each model it.
///   kQueue     it keeps an order of its own: see rules/queue.h for what such a rule provides besides
///   kOrder     victims come from the order ring, oldest first
///   kTouches   a hit moves to the ring's end
///   kRanked    victims have the smallest rank; the rank array is kept
///   kSegmented a | b: residents are in one of two segments, and a newcomer may move another on
///   kTagged    the array of tags is kept: which place, and how long ago it was loaded
///   rank_on_load(ctx, weight), rank_on_prefetch(predicted), rank_on_hit(ctx, rank, ema), rank_of_resident(freq, ema):
///   ranks as order-preserving integers
///   on_access(ctx, key, access): the access has been counted
///   pick(ctx, instance, may_leave): the victim among places that may leave, or kNone

/// What does not depend on a rule.
struct Progress {
  uint32_t layer;
  uint32_t instance;  ///< of the layer
  uint64_t epoch;
  uint32_t* evicted;
  uint32_t num_evicted = 0;
  Frame frame;  ///< the same for expressions
  uint32_t hits = 0;
  uint32_t prefetch_used = 0;
};

/// A dispatch as a rule sees it. `p` are the constants of the instances it is about: those of the dispatch, but for
/// instances of other layers under other rules (foreign.h). rules() are always the dispatch's.
template <class Rule>
struct Context : Progress {
  const Params& p;
  State s;
  uint32_t cursor = kNone;   ///< where the next victim walk of this dispatch goes on
  bool ranked_all = false;   ///< least(E), a | b: everybody's order is written down, for this dispatch's victims
  uint32_t misses_seen = 0;  ///< by the schedule, so far

  MOE_INLINE Context(const Params& params, void* block, const Input& in, const Output& out)
      : Progress{in.layer, params.scope_layer != 0 ? in.layer : 0,       0, out.evicted,
                 0,        Frame{&params, block, &in, &out, in.layer, 0}},
        p(params),
        s(params, block) {
    epoch = s.header().epoch;
  }
#ifdef MOE_PHASES
  MOE_INLINE Context(const Params& params, const Layout& at, void* block, const Input& in, const Output& out,
                     uint32_t evicted_before)
      : Progress{in.layer,       params.scope_layer != 0 ? in.layer : 0,       0, out.evicted,
                 evicted_before, Frame{&params, block, &in, &out, in.layer, 0}},
        p(params),
        s(params, block, at) {
    epoch = s.header().epoch;
  }
#endif
  MOE_INLINE Context(const Params& theirs, const Progress& progress)
      : Progress(progress), p(theirs), s(theirs, progress.frame.block) {}

  MOE_INLINE const Params& rules() const { return *frame.params; }
  /// What the dispatch's rules say at a site. `place` and `victim` as in moe_evaluate.
  MOE_INLINE double ask(uint32_t site, uint32_t key, uint32_t place, uint32_t victim) const {
    return moe_evaluate(&frame, rules().first_site + site, key, place, victim);
  }
  MOE_INLINE Ring order(uint32_t i) const { return {s.order(), s.sentinel(i)}; }
  MOE_INLINE Ring recency(uint32_t i) const { return {s.recency(), s.sentinel(i)}; }
  MOE_INLINE bool keeps_recency() const { return has_ttl(p) && !Rule::kTouches && !Rule::kSegmented; }
  /// Places of instance `i` that may be used.
  MOE_INLINE uint32_t capacity(uint32_t i) const {
    return p.room.capacity_varies != 0 ? s.instance(i).capacity : p.capacity;
  }
  /// The places that nobody has, as a stack; at its bottom are those beyond the capacity.
  MOE_INLINE uint32_t* free_places(uint32_t i) const {
    const uint32_t beyond = p.room.capacity_varies != 0 ? p.max_capacity() - s.instance(i).capacity : 0;
    return s.free_places(i) + beyond;
  }

  /// Whether what is in `place`, if anything, was loaded behind and cannot be hit yet.
  MOE_INLINE bool is_coming(uint32_t place) const {
    if (!loads_arrive(p)) return false;
    const uint32_t key = s.resident(place).key;
    return key != kNone && s.arrives()[place] > s.layer_dispatches()[key / p.num_experts];
  }
  /// The place of `key` if an access would hit; else kNone.
  MOE_INLINE uint32_t place_to_hit(uint32_t key) const {
    const uint32_t place = s.place_of(key);
    return loads_arrive(p) && place != kNone && is_coming(place) ? kNone : place;
  }

  /// Whether this dispatch selected `key`.
  MOE_INLINE bool selected(uint32_t key) const {
    const uint32_t expert = key - layer * p.num_experts;  // wraps for lower layers
    const bool of_layer = expert < p.num_experts;
    return of_layer & (s.stamps()[of_layer ? expert : 0] == epoch);  // without a branch, for loops over places
  }

  /// Ends the residency of what is in `place`. `as_victim`: the rule chose it to make place for another.
  MOE_INLINE void evict(uint32_t place, bool as_victim = false) {
    leave(place, as_victim);
    const uint32_t i = s.instance_of_place(place);
    free_places(i)[s.instance(i).num_free++] = place;
    --s.header().num_resident;
  }

  /// Likewise, and the place is the caller's, who must put another there: what evict() and take_place() come to.
  MOE_INLINE void leave(uint32_t place, bool as_victim) {
    Resident& r = s.resident(place);
    const uint32_t i = s.instance_of_place(place);
    const uint32_t key = r.key;
    evicted[num_evicted++] = key;
    s.place_of(key) = kNone;
    r.key = kNone;
    if constexpr (Rule::kQueue) Rule::leave(*this, i, key, as_victim);
    if (uses_tiers(p)) tiers_left(frame, key);
    if (as_victim && counts_depth(p)) remember_victim(i, key);
    if (loads_arrive(p) && s.arrives()[place] > s.layer_dispatches()[key / p.num_experts]) --s.header().num_arriving;
    if (has_window(p) && (r.flags & kExempt) != 0) --s.header().num_exempt;
    if (Rule::kOrder) order(i).remove(place);
    if (keeps_recency()) recency(i).remove(place);
    if (Rule::kRanked) s.rank()[place] = kNeverVictim;
  }

  /// per_layer's utility: the newest come last.
  MOE_INLINE void remember_victim(uint32_t i, uint32_t key) const {
    uint32_t* const ghosts = s.ghosts(i);
    uint32_t& n = s.num_ghosts(i);
    const uint32_t most = per_layer_of(p)->max_capacity;
    if (n == most) {
      for (uint32_t j = 1; j < n; ++j) ghosts[j - 1] = ghosts[j];
      --n;
    }
    ghosts[n++] = key;
  }

  /// A free place of instance `i`, which must have one.
  MOE_INLINE uint32_t take_place(uint32_t i) const {
    ++s.header().num_resident;
    return free_places(i)[--s.instance(i).num_free];
  }

  /// A place of instance `i`: that of `victim`, who leaves it; kNone: a free one.
  MOE_INLINE uint32_t place_for_newcomer(uint32_t i, uint32_t victim) {
    if (victim == kNone) return take_place(i);
    leave(victim, /*as_victim=*/true);
    return victim;
  }

  /// Puts `key` into a place of instance `i` that the caller has. Rings and ranks are the caller's.
  MOE_INLINE void occupy(uint32_t i, uint32_t place, uint32_t key, uint64_t last_use, double ema) {
    Header& header = s.header();
    s.resident(place) = {key, 0, 0, last_use, ++header.load_counter, ema};
    s.place_of(key) = place;
    if (Rule::kTagged) s.tag()[place] = header.load_counter << 28 | (place - s.first_place(i));
    if (keeps(p, kKeepsFreq)) s.freq()[place] = 0;
    if (keeps(p, kKeepsLoadedAt)) s.loaded_at()[place] = last_use;
    if (keeps(p, kKeepsForetold)) s.foretold()[place] = 0;
    if (loads_arrive(p)) s.arrives()[place] = 0;
  }

  /// Lets the resident in `place` stay below the threshold until its layer has run.
  MOE_INLINE void exempt(uint32_t place) const {
    s.resident(place).flags |= kExempt;
    ++s.header().num_exempt;
  }

  MOE_INLINE void join_rings(uint32_t i, uint32_t place) const {
    if (Rule::kOrder) order(i).append(place);
    if (keeps_recency()) recency(i).append(place);
  }

  /// A hit, between its count and move_to_end(): whoever looks for a victim meanwhile does not meet it.
  MOE_INLINE void take_out(uint32_t i, uint32_t place) const {
    if (Rule::kTouches) order(i).remove(place);
    if (!keeps_recency()) return;
    recency(i).remove(place);
    if (Rule::kThreshold) recency(i).leave_out(place);  // it may leave the cache before move_to_end()
  }
  MOE_INLINE void move_to_end(uint32_t i, uint32_t place) const {
    if (Rule::kTouches) order(i).append(place);
    if (keeps_recency()) recency(i).append(place);
  }
};

/// Non-negative doubles compare like their bits.
MOE_INLINE int64_t rank_of(double value) { return std::bit_cast<int64_t>(value); }
MOE_INLINE double value_of(int64_t rank) { return std::bit_cast<double>(rank); }

}  // namespace moe::decision
