// SPDX-License-Identifier: Apache-2.0
// ExpertFlow (He et al., 2024, arXiv:2410.17954), from the paper's account.
//
// A path predictor says which experts a coming layer will need; its "predictive locality-aware" cache holds those, and
// an expert that was wrongly left out is loaded when the router is known. Simplified: the prediction is for the next
// layer only, the predicted replace the least recently used experts that are not predicted as well, and the scheduler
// that regroups tokens by route is left out.
#include "tests/oracles/recency.h"
#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class ExpertFlow : public System {
 public:
  ExpertFlow(const Shape& shape, uint32_t slots, uint32_t num_ahead)
      : num_ahead_(num_ahead), layers_(shape.num_layers, Recency(slots)) {}

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    correct(dispatch, record);
    if (dispatch.layer + 1 < layers_.size()) fill(dispatch.layer + 1, merged_guesses(dispatch), record);
    return record.done();
  }

 private:
  void correct(const Dispatch& dispatch, Record& record) {
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
      if (layer.full()) {
        const auto victim = layer.evict([&](uint32_t e) { return !is_selected(selected, e); });
        if (!victim) {
          record.choose(expert, Action::stream);
          continue;
        }
        record.leave(dispatch.layer, *victim);
      }
      layer.add(expert, stamp);
      record.choose(expert, Action::load);
    }
  }

  void fill(uint32_t next, const std::vector<Guess>& guesses, Record& record) {
    Recency& layer = layers_[next];
    std::vector<Guess> absent;
    for (const Guess& guess : guesses) {
      if (!layer.has(guess.expert) && absent.size() < num_ahead_) absent.push_back(guess);
    }
    for (const Guess& guess : absent) {
      const auto may_leave = [&](uint32_t expert) {
        return std::none_of(guesses.begin(), guesses.end(), [&](const Guess& other) {
          return other.expert == expert && other.probability >= guess.probability;
        });
      };
      if (layer.full()) {
        const auto victim = layer.evict(may_leave);
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

SystemPtr make_expertflow(const Shape& shape, uint32_t slots, uint32_t num_ahead) {
  return std::make_unique<ExpertFlow>(shape, slots, num_ahead);
}

}  // namespace moe::oracle
