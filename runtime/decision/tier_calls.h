// SPDX-License-Identifier: Apache-2.0
// What a dispatch asks of the tiers below the cache (tiers.h), and tells them.
#pragma once
#include "runtime/decision/expression.h"

namespace moe::decision {

/// What happens to a key in queues that are not the cache's own: of a segment of a | b, or of a tier.
enum class QueueEvent : uint32_t { hit, miss, insert, leave, leave_as_victim, resize };

constexpr bool uses_tiers(const Params& p) { return kMadeForOnePolicy && has_tiers(p); }

/// Null: no tiers in the layer.
MOE_INLINE const TierSet* tier_set_of(const Params& p, uint32_t layer) {
  const uint32_t set = p.tier_set_of_layer[layer];
  return set == kNone ? nullptr : &p.tier_sets[set];
}

// Most policies have no tiers, and those that have ask them in many places: they are compiled once, and called.
#ifdef MOE_KERNEL_BITCODE
extern "C" {
void moe_tiers_start(const Params* p, void* block);
void moe_tiers_load(const Frame* frame, uint32_t key);
void moe_tiers_pass(const Frame* frame, uint32_t key);
void moe_tiers_left(const Frame* frame, uint32_t key);
uint32_t moe_tiers_has_lower(const Frame* frame, uint32_t key);
uint32_t moe_tiers_holds(const Frame* frame, uint32_t tier, uint32_t key);
uint32_t moe_tiers_asks(const Frame* frame, uint32_t site, uint32_t key);
void moe_tiers_put(const Frame* frame, uint32_t tier, uint32_t key, uint32_t from);
void moe_tiers_take(const Frame* frame, uint32_t tier, uint32_t key);
void moe_tiers_raise(const Frame* frame, uint32_t key, uint32_t place);
void moe_tiers_tell(const Params* p, void* block, const TierSet* set, uint32_t tier, QueueEvent event, uint32_t key);
uint32_t moe_tiers_ask(const Params* p, void* block, const TierSet* set, uint32_t tier, uint32_t newcomer);
}
#else
inline void moe_tiers_start(const Params*, void*) {}
inline void moe_tiers_load(const Frame*, uint32_t) {}
inline void moe_tiers_pass(const Frame*, uint32_t) {}
inline void moe_tiers_left(const Frame*, uint32_t) {}
inline uint32_t moe_tiers_has_lower(const Frame*, uint32_t) { return 0; }
inline uint32_t moe_tiers_holds(const Frame*, uint32_t, uint32_t) { return 0; }
inline uint32_t moe_tiers_asks(const Frame*, uint32_t, uint32_t) { return 0; }
inline void moe_tiers_put(const Frame*, uint32_t, uint32_t, uint32_t) {}
inline void moe_tiers_take(const Frame*, uint32_t, uint32_t) {}
inline void moe_tiers_raise(const Frame*, uint32_t, uint32_t) {}
inline void moe_tiers_tell(const Params*, void*, const TierSet*, uint32_t, QueueEvent, uint32_t) {}
inline uint32_t moe_tiers_ask(const Params*, void*, const TierSet*, uint32_t, uint32_t) { return 0; }
#endif

/// The frame is copied, for the reason that moe_evaluate gives.
template <class Call>
MOE_INLINE auto ask_tiers(const Frame& frame, Call call) {
  const Frame copy = frame;
  return call(&copy);
}
MOE_INLINE void tiers_load(const Frame& frame, uint32_t key) {
  ask_tiers(frame, [&](const Frame* copy) { moe_tiers_load(copy, key); });
}
MOE_INLINE void tiers_pass(const Frame& frame, uint32_t key) {
  ask_tiers(frame, [&](const Frame* copy) { moe_tiers_pass(copy, key); });
}
MOE_INLINE void tiers_left(const Frame& frame, uint32_t key) {
  ask_tiers(frame, [&](const Frame* copy) { moe_tiers_left(copy, key); });
}

}  // namespace moe::decision
