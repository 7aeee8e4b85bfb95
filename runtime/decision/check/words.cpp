// SPDX-License-Identifier: Apache-2.0
#include "runtime/decision/check/invariants.h"

namespace moe::decision {

const char* to_words(Invariant invariant) {
  switch (invariant) {
    case Invariant::none:
      return "all invariants hold";
    case Invariant::places:
      return "a resident does not have one place to itself";
    case Invariant::free_places:
      return "the free places are not those that nobody has";
    case Invariant::capacity:
      return "more residents than the capacity";
    case Invariant::layer_capacity:
      return "a layer has more or fewer slots than per_layer may give";
    case Invariant::counters:
      return "a counter does not say how many there are";
    case Invariant::pins:
      return "a pinned expert is not resident, or a resident is wrongly pinned";
    case Invariant::order:
      return "the order of eviction is not one ring of the unpinned residents";
    case Invariant::recency:
      return "the order of last use is not one ring of the unpinned residents";
    case Invariant::ranks:
      return "a resident has no rank, or nobody has one";
    case Invariant::tags:
      return "a tag is not its resident's";
    case Invariant::window:
      return "the counts are not those of freq_threshold's window";
    case Invariant::exempt:
      return "more or fewer residents are exempt from freq_threshold than counted";
    case Invariant::arriving:
      return "more or fewer residents are still to arrive than counted";
    case Invariant::queues:
      return "a queue's links or its size are wrong";
    case Invariant::members:
      return "a resident is not in exactly one queue, or a ghost is resident";
    case Invariant::marks:
      return "a mark does not name the queue that its key is in";
    case Invariant::bounds:
      return "a queue or a target is beyond its bound";
    case Invariant::segments:
      return "a segment has not the residents that it counts, or more than its share";
    case Invariant::side_buffer:
      return "an expert waits beside the cache and is in it";
    case Invariant::ghosts:
      return "more victims are remembered than slots, or one of another layer";
    case Invariant::tiers:
      return "a tier's links or its size are wrong";
    case Invariant::tier_capacity:
      return "a tier holds more than its capacity";
    case Invariant::rungs:
      return "a resident's precision is not on the ladder";
    case Invariant::pressure:
      return "memory is above the threshold though somebody may leave";
    case Invariant::ttl:
      return "a resident is past its time to live";
  }
  return "";
}

}  // namespace moe::decision
