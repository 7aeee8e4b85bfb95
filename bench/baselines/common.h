// SPDX-License-Identifier: Apache-2.0
// What the hand-written policies share: the dispatch's unique experts, and lists.
#pragma once
#include <cfloat>
#include <cstdint>

#include "runtime/decision/abi.h"

namespace moe::bench {

template <uint32_t Layers, uint32_t Experts, uint32_t TopK>
struct Model {
  static constexpr uint32_t kLayers = Layers;
  static constexpr uint32_t kExperts = Experts;
  static constexpr uint32_t kTopK = TopK;
  static constexpr uint32_t kNext(uint32_t layer) { return layer + 1 == Layers ? 0 : layer + 1; }
};

/// Checks a dispatch and finds its unique experts, as decision::DispatchFn is asked to.
template <class M>
class Selection {
 public:
  uint32_t collect(const decision::Input& in, const decision::Output& out) {
    ++epoch_;
    uint32_t n = 0;
    for (uint32_t token = 0; token < in.num_tokens; ++token) {
      for (uint32_t k = 0; k < M::kTopK; ++k) {
        const uint32_t at = token * M::kTopK + k;
        const auto id = static_cast<uint32_t>(in.ids[at]);
        const float weight = in.weights != nullptr ? in.weights[at] : 1.0f;
        if (id >= M::kExperts || !(weight >= 0.0f && weight <= FLT_MAX)) return decision::kNone;
        Seen& seen = seen_[id];
        if (seen.epoch != epoch_) {
          seen = {epoch_, n, token};
          out.expert[n] = id;
          out.num_selections[n] = 1;
          out.weight[n] = weight;
          ++n;
          continue;
        }
        if (seen.token == token) return decision::kNone;
        seen.token = token;
        ++out.num_selections[seen.entry];
        if (weight > out.weight[seen.entry]) out.weight[seen.entry] = weight;
      }
    }
    return n;
  }
  bool has(uint32_t expert) const { return seen_[expert].epoch == epoch_; }

 private:
  struct Seen {
    uint64_t epoch;
    uint32_t entry;
    uint32_t token;
  };
  uint64_t epoch_ = 0;
  Seen seen_[M::kExperts] = {};
};

/// Members of 0 .. Size-1 in an order of their own.
template <uint32_t Size>
class List {
 public:
  static constexpr uint32_t kEnd = Size;
  List() { nodes_[kEnd] = {kEnd, kEnd}; }
  uint32_t head() const { return nodes_[kEnd].next; }
  uint32_t next(uint32_t member) const { return nodes_[member].next; }
  void append(uint32_t member) {
    const uint16_t tail = nodes_[kEnd].prev;
    nodes_[member] = {tail, kEnd};
    nodes_[tail].next = static_cast<uint16_t>(member);
    nodes_[kEnd].prev = static_cast<uint16_t>(member);
  }
  void remove(uint32_t member) {
    const Node node = nodes_[member];
    nodes_[node.prev].next = node.next;
    nodes_[node.next].prev = node.prev;
  }

 private:
  static_assert(Size < 65536);
  struct Node {
    uint16_t prev;
    uint16_t next;
  };
  Node nodes_[Size + 1];
};

template <class Policy>
void* make_state() {
  return new Policy();
}
template <class Policy>
void free_state(void* state) {
  delete static_cast<Policy*>(state);
}
template <class Policy>
uint32_t dispatch(void* state, const decision::Input* in, decision::Output* out) {
  return static_cast<Policy*>(state)->dispatch(*in, *out);
}

}  // namespace moe::bench
