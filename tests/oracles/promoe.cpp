// SPDX-License-Identifier: Apache-2.0
// ProMoE (Song et al., 2024, arXiv:2410.22134), from the paper's account.
//
// The reactive cache is kept: LRU, a miss waits. A predictor learned for each layer looks ahead; its experts are copied
// in chunks that a demand load preempts, and a layer computes what is there before what is not. Simplified: the stride
// is one layer, the predictor is whatever the engine hints, and the order of use is that of the routing.
#include "tests/oracles/recency.h"
#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class ProMoe : public System {
 public:
  ProMoe(const Shape& shape, uint32_t slots, uint32_t num_ahead)
      : num_ahead_(num_ahead), layers_(shape.num_layers, Recency(slots)) {}

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    Recency& layer = layers_[dispatch.layer];
    const auto selected = by_appearance(dispatch);
    std::vector<std::pair<uint32_t, uint64_t>> missing;
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
      if (had_room || victim) layer.add(expert, stamp);
      record.choose(expert, had_room || victim ? Action::load : Action::stream);
    }
    if (dispatch.layer + 1 < layers_.size()) look_ahead(dispatch.layer + 1, merged_guesses(dispatch), record);
    return record.done();
  }

 private:
  // A guess never replaces a better or equal one.
  void look_ahead(uint32_t next, std::vector<Guess> guesses, Record& record) {
    Recency& layer = layers_[next];
    uint32_t num_begun = 0;
    const std::vector<Guess> all = guesses;
    std::erase_if(guesses, [&](const Guess& g) { return layer.has(g.expert); });
    for (const Guess& guess : guesses) {
      if (num_begun++ == num_ahead_) return;
      if (layer.full()) {
        const auto victim = layer.evict([&](uint32_t e) {
          const auto rival = std::find_if(all.begin(), all.end(), [&](const Guess& g) { return g.expert == e; });
          return rival == all.end() || rival->probability < guess.probability;
        });
        if (!victim) continue;
        record.leave(next, *victim);
      }
      layer.add_ahead(guess.expert);
      record.ahead(next, guess.expert);
    }
  }

  uint32_t num_ahead_;
  std::vector<Recency> layers_;
};

}  // namespace

SystemPtr make_promoe(const Shape& shape, uint32_t slots, uint32_t num_ahead) {
  return std::make_unique<ProMoe>(shape, slots, num_ahead);
}

}  // namespace moe::oracle
