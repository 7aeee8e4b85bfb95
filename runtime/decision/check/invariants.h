// SPDX-License-Identifier: Apache-2.0
// What holds of every policy's state block between two dispatches, whatever the rules: a block that breaks any of it
// has been written by a wrong kernel, or by somebody else.
//
// Debug builds check it after every dispatch of the static kernels, of a live engine and of a replay, as do builds with
// MOE_CHECK_INVARIANTS; the differential tests ask in any build. Compiled policies have no part of it.
#pragma once
#include "runtime/decision/abi.h"

#ifdef MOE_KERNEL_BITCODE
#error "generated code checks nothing"
#endif

namespace moe::decision {

enum class Invariant : uint32_t {
  none,            ///< all hold
  places,          ///< each resident has one place of its instance, and each place one resident
  free_places,     ///< the places that nobody has are listed as free, each once
  capacity,        ///< an instance's residents are no more than its capacity, or all of them are pinned
  layer_capacity,  ///< per_layer: each layer's slots are between its bounds, and all together no more than there are
  counters,        ///< residents, loads and accesses are as many as the counters say
  pins,            ///< what is pinned is resident and flagged, and nobody else is flagged
  order,           ///< lru, fifo: the ring has the unpinned residents once each, first who leaves first
  recency,         ///< ttl: likewise by last use
  ranks,           ///< lfu, score: exactly the unpinned residents have a rank
  tags,            ///< lfu, score, least: each resident's tag is its load and place
  window,          ///< freq_threshold: the counts are those of the last accesses
  exempt,          ///< freq_threshold: as many residents are flagged as counted
  arriving,        ///< arrival: as many residents are still to come as counted
  queues,          ///< a queue's links lead both ways, and as many keys are in it as it counts
  members,         ///< each resident is in exactly one of its rule's queues, and no ghost is resident
  marks,           ///< a key's mark names the queue that it is in; a hand stands at a member
  bounds,          ///< queues, ghosts and targets are within what their papers give them
  segments,  ///< a | b: each resident is in one segment, which has as many as it counts; a has no more than its share
  side_buffer,    ///< what waits beside the cache is not in it
  ghosts,         ///< per_layer: no more victims are remembered than slots, all of the layer
  tiers,          ///< a tier's links lead both ways, over experts of its layers, as many as it counts
  tier_capacity,  ///< no tier holds more than its capacity
  rungs,          ///< precision: each resident's rung is one of the ladder
  pressure,       ///< memory: below the threshold, or back at the headroom, or all residents are pinned
  ttl,            ///< nobody in the dispatch's instance is past its time
};

/// `what`, at `expert` of `layer`; kNone where it is of no single one.
struct Violation {
  Invariant what = Invariant::none;
  uint32_t layer = kNone;
  uint32_t expert = kNone;
  explicit operator bool() const { return what != Invariant::none; }
};

/// The invariant in words: "each resident has one place ...". A static string.
const char* to_words(Invariant invariant);

/// The first invariant that `state` breaks. `layer`: of the dispatch that has just been decided; kNone: none was, and
/// `pressure` and `ttl`, which hold only then, are not asked.
///
/// Cost  O(keys + places + freq_window); allocates nothing, changes nothing.
Violation find_violation(const Params& params, const void* state, uint32_t layer);

/// Prints the violation to stderr and aborts, if there is one.
void require_invariants(const Params& params, const void* state, uint32_t layer);

#if !defined(NDEBUG) || defined(MOE_CHECK_INVARIANTS)
inline constexpr bool kChecksInvariants = true;
#else
inline constexpr bool kChecksInvariants = false;
#endif

/// After a dispatch that returned `status`; passes it on.
template <bool Checks = kChecksInvariants>
inline uint32_t checked(const Params& params, const void* state, const Input& input, uint32_t status) {
  if constexpr (Checks) {
    if (status == kOk) require_invariants(params, state, input.layer);
  }
  return status;
}

}  // namespace moe::decision
