// SPDX-License-Identifier: Apache-2.0
// FineMoE (IntelliSys-Lab/FineMoE-EuroSys26 at 5c58468): finemoe/runtime/model_offload.py (ExpertMapStore,
// ExpertMapMatcher), finemoe/models/modeling_qwen/modeling_qwen2_moe.py, core/prefetch/task_scheduler.cpp.
//
// One cache of all layers. Every finished token leaves its expert map [layer][expert] of router probabilities; when the
// store is full the map replaces the one most similar to it (cosine of the whole map). After a layer's gate the newest
// token's rows so far are matched against the same rows of each stored map, by one cosine over all of them. For each
// layer from layer + 1 + distance to the last, experts of the best map are taken by falling probability while their
// sum is at most 1 - similarity, at least k of those above 0; priority p x (1 - (l - start) / (L + 1)), highest first.
// The resident with the smallest probability x uses leaves, for a prefetch none that is predicted. Simplified: what
// counts is the prediction after the last dispatch; 1e-6, the code's floor for a priority, is added to every
// probability, and a prefetch counts as a use. Of equals the one that came first.
// The trace has the probabilities of the k selected experts; the others count as 0.
#include <cmath>
#include <map>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

using Map = std::vector<double>;  // row-major [layers][experts]

double cosine(const Map& a, const Map& b, size_t num_entries) {
  double dot = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < num_entries; ++i) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa == 0 || bb == 0 ? 0 : dot / std::sqrt(aa * bb);
}

class FineMoe : public System {
 public:
  FineMoe(const Shape& shape, uint32_t slots, uint32_t distance, uint32_t store_capacity, uint32_t num_ahead)
      : shape_(shape), slots_(slots), distance_(distance), store_capacity_(store_capacity), num_ahead_(num_ahead) {}

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    observe(dispatch);
    const auto selected = by_appearance(dispatch);
    std::vector<Pair> missing;
    for (const Selected& s : selected) {
      const auto found = find({dispatch.layer, s.expert});
      if (found == resident_.end()) {
        missing.push_back({dispatch.layer, s.expert});
      } else {
        found->uses += 1;
        record.choose(s.expert, Action::hit);
      }
    }
    for (const Pair& pair : missing) {
      const bool placed = make_room(dispatch.layer, selected, false, record);
      if (placed) resident_.push_back({pair, 1});
      record.choose(pair.expert, placed ? Action::load : Action::stream);
    }
    match(dispatch.layer);
    prefetch(dispatch.layer, selected, record);
    if (dispatch.layer + 1 == shape_.num_layers) {
      for (const Map& token : tokens_) add(token);
    }
    return record.done();
  }

 private:
  struct Resident {
    Pair who;
    double uses;
  };
  struct Prediction {
    double probability = 0;
    double priority = 0;
  };

  std::vector<Resident>::iterator find(const Pair& who) {
    return std::find_if(resident_.begin(), resident_.end(), [&](const Resident& r) { return r.who == who; });
  }

  void observe(const Dispatch& dispatch) {
    if (dispatch.layer == 0) tokens_.assign(dispatch.ids.size(), Map(shape_.num_layers * shape_.num_experts, 0.0));
    for (size_t t = 0; t < dispatch.ids.size(); ++t) {
      for (size_t k = 0; k < dispatch.ids[t].size(); ++k) {
        tokens_[t][dispatch.layer * shape_.num_experts + dispatch.ids[t][k]] = dispatch.weights[t][k];
      }
    }
  }

  void add(const Map& token) {
    if (store_.size() < store_capacity_) {
      store_.push_back(token);
      return;
    }
    size_t closest = 0;
    for (size_t i = 1; i < store_.size(); ++i) {
      if (cosine(token, store_[i], token.size()) > cosine(token, store_[closest], token.size())) closest = i;
    }
    store_[closest] = token;
  }

  void match(uint32_t layer) {
    predicted_.clear();
    const uint32_t start = layer + 1 + distance_;
    if (start >= shape_.num_layers || store_.empty()) return;
    const size_t observed = size_t{layer + 1} * shape_.num_experts;
    size_t best = 0;
    double similarity = -1;
    for (size_t i = 0; i < store_.size(); ++i) {
      const double s = cosine(tokens_.back(), store_[i], observed);
      if (s > similarity) {
        best = i;
        similarity = s;
      }
    }
    const double limit = std::clamp(1 - similarity, 0.0, 1.0);
    for (uint32_t l = start; l < shape_.num_layers; ++l) predict_layer(store_[best], l, start, limit);
  }

  void predict_layer(const Map& map, uint32_t layer, uint32_t start, double limit) {
    std::vector<uint32_t> order(shape_.num_experts);
    for (uint32_t e = 0; e < shape_.num_experts; ++e) order[e] = e;
    const double* row = map.data() + size_t{layer} * shape_.num_experts;
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return row[a] > row[b]; });
    double sum = 0;
    for (uint32_t i = 0; i < order.size() && row[order[i]] > 0; ++i) {
      sum += row[order[i]];
      if (i >= shape_.top_k && sum > limit) return;
      const double nearness = 1 - static_cast<double>(layer - start) / (shape_.num_layers + 1);
      predicted_[{layer, order[i]}] = {row[order[i]], row[order[i]] * nearness};
    }
  }

  // With `spare_candidates` nobody leaves who is predicted.
  bool make_room(uint32_t layer, const std::vector<Selected>& selected, bool spare_candidates, Record& record) {
    if (resident_.size() < slots_) return true;
    auto victim = resident_.end();
    double lowest = 0;
    for (auto r = resident_.begin(); r != resident_.end(); ++r) {
      if (r->who.layer == layer && is_selected(selected, r->who.expert)) continue;
      const auto known = predicted_.find(r->who);
      if (spare_candidates && known != predicted_.end()) continue;
      const double score =
          ((known == predicted_.end() ? 0 : known->second.probability) + 1e-6) * std::max(r->uses, 1.0);
      if (victim != resident_.end() && !(score < lowest)) continue;
      victim = r;
      lowest = score;
    }
    if (victim == resident_.end()) return false;
    record.leave(victim->who.layer, victim->who.expert);
    resident_.erase(victim);
    return true;
  }

  void prefetch(uint32_t layer, const std::vector<Selected>& selected, Record& record) {
    if (layer + 1 + distance_ >= shape_.num_layers) return;
    std::vector<std::pair<Pair, Prediction>> list(predicted_.begin(), predicted_.end());
    std::stable_sort(list.begin(), list.end(),
                     [](const auto& a, const auto& b) { return a.second.priority > b.second.priority; });
    uint32_t num_begun = 0;
    for (const auto& [pair, prediction] : list) {
      if (find(pair) != resident_.end()) continue;
      if (num_begun++ == num_ahead_) return;
      if (!make_room(layer, selected, true, record)) continue;
      resident_.push_back({pair, 0});
      record.ahead(pair.layer, pair.expert);
    }
  }

  Shape shape_;
  uint32_t slots_;
  uint32_t distance_;
  uint32_t store_capacity_;
  uint32_t num_ahead_;
  std::vector<Resident> resident_;  ///< in order of arrival
  std::vector<Map> store_;
  std::vector<Map> tokens_;               ///< of the dispatches since layer 0
  std::map<Pair, Prediction> predicted_;  ///< after the last dispatch
};

}  // namespace

SystemPtr make_finemoe(const Shape& shape, uint32_t slots, uint32_t distance, uint32_t store_capacity,
                       uint32_t num_ahead) {
  return std::make_unique<FineMoe>(shape, slots, distance, store_capacity, num_ahead);
}

}  // namespace moe::oracle
