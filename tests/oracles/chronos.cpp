// SPDX-License-Identifier: Apache-2.0
// Project Chronos (FonaTech/Project_Chronos at fcb362a): chronos/runtime/inference_engine.py,
// chronos/io/expert_store.py, with an untrained lookahead (none is shipped) and host memory that holds every expert.
//
// An expert id stands for its weights in every layer: `vram_experts` ids are on the device, the first ones at start. An
// absent id is loaded when a layer selects it, for all layers, in place of the coldest; used and loaded ids become the
// hottest. After each token the ids are put in order by a score, of equals the lower id is colder: scores fall by 15 %,
// those below 0.05 are dropped, and each id that the token used anywhere gains 3. Before the next token the ids of the
// last one that are absent are loaded again, lowest id first.
//
// The policy has an expert per layer: make_chronos_by_layer() is the same with a store for each layer, which uses what
// is there before it loads anything, and with scores that keep `keep` and are never dropped.
#include <deque>
#include <map>
#include <set>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class Chronos : public System {
 public:
  Chronos(const Shape& shape, uint32_t vram_experts, double keep, double drop_below, bool spare)
      : shape_(shape), capacity_(vram_experts), keep_(keep), drop_below_(drop_below), spare_(spare) {
    for (uint32_t e = 0; e < vram_experts; ++e) vram_.push_back(e);
  }

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    if (dispatch.request != request_) scores_.clear();
    request_ = dispatch.request;
    auto selected = by_appearance(dispatch);
    if (spare_) {
      std::stable_partition(selected.begin(), selected.end(), [&](const Selected& s) {
        return std::find(vram_.begin(), vram_.end(), s.expert) != vram_.end();
      });
    }
    for (const Selected& s : selected) {
      used_.insert(s.expert);
      const auto found = std::find(vram_.begin(), vram_.end(), s.expert);
      record.choose(s.expert, found == vram_.end() ? Action::load : Action::hit);
      if (found == vram_.end()) {
        promote(s.expert, record);
      } else {
        vram_.erase(found);
        vram_.push_back(s.expert);
      }
    }
    if (dispatch.layer + 1 == shape_.num_layers) end_token(record);
    return record.done();
  }

 private:
  void promote(uint32_t expert, Record& record) {
    if (vram_.size() == capacity_) {
      for (uint32_t layer = 0; layer < shape_.num_layers; ++layer) record.leave(layer, vram_.front());
      vram_.pop_front();
    }
    vram_.push_back(expert);
  }

  void end_token(Record& record) {
    std::map<uint32_t, double> kept;
    for (const auto& [expert, score] : scores_) {
      if (score * keep_ >= drop_below_) kept[expert] = score * keep_;
    }
    for (uint32_t expert : used_) kept[expert] += 3;
    scores_ = kept;
    std::sort(vram_.begin(), vram_.end(),
              [&](uint32_t a, uint32_t b) { return kept[a] != kept[b] ? kept[a] < kept[b] : a < b; });
    for (uint32_t expert : used_) {
      if (std::find(vram_.begin(), vram_.end(), expert) != vram_.end()) continue;
      promote(expert, record);
      for (uint32_t layer = 0; layer < shape_.num_layers; ++layer) record.ahead(layer, expert);
    }
    used_.clear();
  }

  Shape shape_;
  uint32_t capacity_;
  double keep_;
  double drop_below_;
  bool spare_;  ///< what is there is used before anything is loaded
  uint32_t request_ = 0;
  std::deque<uint32_t> vram_;  ///< coldest first
  std::set<uint32_t> used_;    ///< by this token
  std::map<uint32_t, double> scores_;
};

class ChronosByLayer : public System {
 public:
  ChronosByLayer(const Shape& shape, uint32_t slots, double keep)
      : layers_(shape.num_layers, Chronos({1, shape.num_experts, shape.top_k}, slots, keep, 0, true)) {}

  Outcome step(const Dispatch& dispatch) override {
    Dispatch alone = dispatch;
    alone.layer = 0;
    Outcome outcome = layers_[dispatch.layer].step(alone);
    for (Pair& pair : outcome.left) pair.layer = dispatch.layer;
    for (Pair& pair : outcome.prefetched) pair.layer = dispatch.layer;
    return outcome;
  }

 private:
  std::vector<Chronos> layers_;
};

}  // namespace

SystemPtr make_chronos(const Shape& shape, uint32_t vram_experts) {
  return std::make_unique<Chronos>(shape, vram_experts, 0.85, 0.05, false);
}

SystemPtr make_chronos_by_layer(const Shape& shape, uint32_t slots, double keep) {
  return std::make_unique<ChronosByLayer>(shape, slots, keep);
}

}  // namespace moe::oracle
