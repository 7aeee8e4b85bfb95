// SPDX-License-Identifier: Apache-2.0
// Least recently used, one list per layer. The experts of a dispatch are used together: whoever is there is stamped in
// turn, then the others come in, and none of them pushes out another. Who finds no place passes through.
#include "tests/oracles/recency.h"
#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class Lru : public System {
 public:
  Lru(const Shape& shape, uint32_t slots) : layers_(shape.num_layers, Recency(slots)) {}

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    Recency& layer = layers_[dispatch.layer];
    const auto selected = by_appearance(dispatch);
    std::vector<std::pair<uint32_t, uint64_t>> missing;  // and when each was wanted
    for (const Selected& s : selected) {
      const bool there = layer.has(s.expert);
      const uint64_t stamp = layer.count(s.expert);
      if (there) {
        record.choose(s.expert, Action::hit);
      } else {
        missing.emplace_back(s.expert, stamp);
      }
    }
    for (const auto& [expert, stamp] : missing) {
      const bool had_room = !layer.full();
      const auto victim = had_room ? std::nullopt : layer.evict([&](uint32_t e) { return !is_selected(selected, e); });
      if (victim) record.leave(dispatch.layer, *victim);
      const bool placed = had_room || victim;
      if (placed) layer.add(expert, stamp);
      record.choose(expert, placed ? Action::load : Action::stream);
    }
    return record.done();
  }

 private:
  std::vector<Recency> layers_;
};

}  // namespace

SystemPtr make_lru(const Shape& shape, uint32_t slots) { return std::make_unique<Lru>(shape, slots); }

}  // namespace moe::oracle
