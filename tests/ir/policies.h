// SPDX-License-Identifier: Apache-2.0
// Policies written by hand, as the frontend would build them.
#pragma once
#include "ir/policy.h"

namespace moe::ir::test {

/// A value as if it stood in the text.
template <class T>
Sourced<T> written(T value) {
  return Sourced<T>(std::move(value), SourceSpan{10, 20});
}

inline Capacity slots(uint64_t amount) { return {Capacity::Kind::slots, amount, 0}; }
inline Capacity ratio(double share) { return {Capacity::Kind::ratio, 0, share}; }
inline Capacity bytes(uint64_t amount) { return {Capacity::Kind::bytes, amount, 0}; }
inline Capacity automatic() { return {Capacity::Kind::automatic, 0, 0}; }

inline Policy policy_of(Capacity capacity) {
  Policy policy;
  policy.name = written(std::string("p"));
  policy.cache.capacity = written(capacity);
  policy.cache.eviction = written<EvictionRule>(Eviction::lfu);  // lru would bring the warning about global recency
  policy.span = {0, 100};
  return policy;
}

inline Sourced<Pin> pin(std::optional<Pin::Range> layers, Pin::Range experts) {
  return written(Pin{Pin::Kind::experts, layers, experts, {}});
}

}  // namespace moe::ir::test
