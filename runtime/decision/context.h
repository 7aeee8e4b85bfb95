// SPDX-License-Identifier: Apache-2.0
// One dispatch in progress: the state, what the caller gave, what was decided so far, and the moves every rule shares.
#pragma once
#include <bit>

#include "runtime/decision/expression.h"

namespace moe::decision {

/// What a rule must provide; rules/*.h each model it.
///   kQueue     it keeps an order of its own: see rules/queue.h for what such a rule provides besides
///   kOrder     victims come from the order ring, oldest first
///   kTouches   a hit moves to the ring's end
///   kRanked    victims have the smallest rank; the rank array is kept
///   kTagged    the array of tags is kept: which place, and how long ago it was loaded
///   rank_on_load(ctx, weight), rank_on_prefetch(predicted), rank_on_hit(ctx, rank, ema): ranks as order-preserving
///   integers on_access(ctx, key, access): the access has been counted pick(ctx, instance, may_leave): the victim among
///   places that may leave, or kNone
template <class Rule>
struct Context {
  const Params& p;
  State s;
  uint32_t layer;
  uint32_t instance;
  uint64_t epoch;
  uint32_t* evicted;
  uint32_t num_evicted = 0;
  uint32_t cursor = kNone;   ///< where the next victim walk of this dispatch goes on
  Frame frame;               ///< the same for expressions
  uint32_t misses_seen = 0;  ///< by the schedule, so far

  MOE_INLINE Context(const Params& params, void* block, const Input& in, const Output& out)
      : p(params),
        s(params, block),
        layer(in.layer),
        instance(s.instance_of_layer(in.layer)),
        epoch(s.header().epoch),
        evicted(out.evicted),
        frame{&params, block, &in, &out, in.layer, 0} {}

  MOE_INLINE Ring order(uint32_t i) const { return {s.order(), s.sentinel(i)}; }
  MOE_INLINE Ring recency(uint32_t i) const { return {s.recency(), s.sentinel(i)}; }
  MOE_INLINE bool keeps_recency() const { return p.ttl != 0 && !Rule::kTouches; }

  /// Whether this dispatch selected `key`.
  MOE_INLINE bool selected(uint32_t key) const {
    const uint32_t expert = key - layer * p.num_experts;  // wraps for lower layers
    const bool of_layer = expert < p.num_experts;
    return of_layer & (s.stamps()[of_layer ? expert : 0] == epoch);  // without a branch, for loops over places
  }

  /// Ends the residency of what is in `place`. `as_victim`: the rule chose it to make place for another.
  MOE_INLINE void evict(uint32_t place, bool as_victim = false) {
    Resident& r = s.resident(place);
    const uint32_t i = s.instance_of_place(place);
    const uint32_t key = r.key;
    evicted[num_evicted++] = key;
    s.place_of(key) = kNone;
    r.key = kNone;
    if constexpr (Rule::kQueue) Rule::leave(*this, i, key, as_victim);
    if (Rule::kThreshold && (r.flags & kExempt) != 0) --s.header().num_exempt;
    if (Rule::kOrder) order(i).remove(place);
    if (keeps_recency()) recency(i).remove(place);
    if (Rule::kRanked) s.rank()[place] = kNeverVictim;
    Instance& instance_state = s.instance(i);
    s.free_places(i)[instance_state.num_free++] = place;
    --s.header().num_resident;
  }

  /// Puts `key` into a free place of instance `i`, which must have one. Rings and ranks are the caller's.
  MOE_INLINE uint32_t occupy(uint32_t i, uint32_t key, uint64_t last_use, double ema) {
    Instance& instance_state = s.instance(i);
    const uint32_t place = s.free_places(i)[--instance_state.num_free];
    Header& header = s.header();
    ++header.num_resident;
    s.resident(place) = {key, 0, 0, last_use, ++header.load_counter, ema};
    s.place_of(key) = place;
    if (Rule::kTagged) s.tag()[place] = header.load_counter << 28 | (place - s.first_place(i));
    if (keeps(p, kKeepsFreq)) s.freq()[place] = 0;
    if (keeps(p, kKeepsLoadedAt)) s.loaded_at()[place] = last_use;
    if (keeps(p, kKeepsForetold)) s.foretold()[place] = 0;
    return place;
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

  MOE_INLINE void move_to_end(uint32_t i, uint32_t place) const {
    if (Rule::kTouches) {
      order(i).remove(place);
      order(i).append(place);
    }
    if (keeps_recency()) {
      recency(i).remove(place);
      recency(i).append(place);
    }
  }
};

/// Non-negative doubles compare like their bits.
MOE_INLINE int64_t rank_of(double value) { return std::bit_cast<int64_t>(value); }
MOE_INLINE double value_of(int64_t rank) { return std::bit_cast<double>(rank); }

}  // namespace moe::decision
