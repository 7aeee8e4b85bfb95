// SPDX-License-Identifier: Apache-2.0
// MoE-Infinity (EfficientMoE/MoE-Infinity at d617801): core/parallel/expert_dispatcher.cpp,
// core/prefetch/task_scheduler.cpp, moe_infinity/memory/expert_tracer.py, expert_predictor.py, expert_prefetcher.py.
//
// One cache of all layers. A miss evicts the resident with the smallest visit count; counts survive eviction; of equals
// the one found first when all layers of expert 0 are looked at, then of expert 1 and so on. What the layer is about to
// use is locked. Each dispatch adds its selections to the sequence's matrix [layer][expert], finds the stored matrix
// with the largest mean over the later layers of the cosine of rows, and predicts from it: count x (1 - (l -
// layer) / (L + 1)) for each later layer l, largest first. A prefetch takes the place of an expert of an earlier layer,
// the most visited one first (it sorts by descending count). The first `num_ahead` absent ones are taken to arrive in
// time. A finished sequence replaces the stored matrix that was matched least, of equals the first.
#include <cmath>
#include <map>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

using Matrix = std::vector<std::vector<double>>;

bool found_first(const Pair& a, const Pair& b) {
  return a.expert != b.expert ? a.expert < b.expert : a.layer < b.layer;
}

double cosine(const std::vector<double>& a, const std::vector<double>& b) {
  double dot = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa == 0 || bb == 0 ? 0 : dot / std::sqrt(aa * bb);
}

class MoeInfinity : public System {
 public:
  MoeInfinity(const Shape& shape, uint32_t slots, uint32_t trace_capacity, uint32_t num_ahead)
      : shape_(shape), slots_(slots), trace_capacity_(trace_capacity), num_ahead_(num_ahead) {}

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    begin_request(dispatch.request);
    for (const auto& token : dispatch.ids) {
      for (uint32_t e : token) matrix_[dispatch.layer][e] += 1;
    }
    const auto locked = by_id(dispatch);
    std::vector<Pair> missing;
    for (const Selected& s : locked) {
      const Pair pair{dispatch.layer, s.expert};
      visits_[pair] += 1;
      if (is_resident(pair)) {
        record.choose(s.expert, Action::hit);
      } else {
        missing.push_back(pair);
      }
    }
    for (const Pair& pair : missing) {
      const bool placed = resident_.size() < slots_ || evict_least_visited(dispatch.layer, locked, record);
      if (placed) resident_.push_back(pair);
      record.choose(pair.expert, placed ? Action::load : Action::stream);
    }
    prefetch(dispatch.layer, record);
    return record.done();
  }

 private:
  struct Stored {
    Matrix matrix;
    uint64_t matched = 1;
  };
  struct Candidate {
    Pair pair;
    double priority;
  };

  bool is_resident(const Pair& pair) const {
    return std::find(resident_.begin(), resident_.end(), pair) != resident_.end();
  }

  void begin_request(uint32_t request) {
    if (!matrix_.empty() && request == request_) return;
    if (!matrix_.empty()) store();
    request_ = request;
    matrix_.assign(shape_.num_layers, std::vector<double>(shape_.num_experts, 0.0));
  }

  void store() {
    if (stored_.size() < trace_capacity_) {
      stored_.push_back({matrix_});
      return;
    }
    const auto least = std::min_element(stored_.begin(), stored_.end(),
                                        [](const Stored& a, const Stored& b) { return a.matched < b.matched; });
    *least = {matrix_};
  }

  bool evict_least_visited(uint32_t layer, const std::vector<Selected>& locked, Record& record) {
    auto victim = resident_.end();
    for (auto r = resident_.begin(); r != resident_.end(); ++r) {
      if (r->layer == layer && is_selected(locked, r->expert)) continue;
      const bool equal = victim != resident_.end() && visits_[*r] == visits_[*victim];
      if (victim == resident_.end() || visits_[*r] < visits_[*victim] || (equal && found_first(*r, *victim)))
        victim = r;
    }
    if (victim == resident_.end()) return false;
    record.leave(victim->layer, victim->expert);
    resident_.erase(victim);
    return true;
  }

  std::vector<Candidate> predict(uint32_t layer) {
    if (stored_.empty()) return {};
    auto best = stored_.begin();
    double best_sum = -1;
    for (auto s = stored_.begin(); s != stored_.end(); ++s) {
      double sum = 0;
      for (uint32_t l = layer + 1; l < shape_.num_layers; ++l) sum += cosine(matrix_[l], s->matrix[l]);
      if (sum > best_sum) {
        best = s;
        best_sum = sum;
      }
    }
    best->matched += 1;
    std::vector<Candidate> list;
    for (uint32_t l = layer + 1; l < shape_.num_layers; ++l) {
      const double decay = 1 - static_cast<double>(l - layer) / (shape_.num_layers + 1);
      for (uint32_t e = 0; e < shape_.num_experts; ++e) {
        if (best->matrix[l][e] > 0) list.push_back({{l, e}, best->matrix[l][e] * decay});
      }
    }
    std::stable_sort(list.begin(), list.end(),
                     [](const Candidate& a, const Candidate& b) { return a.priority > b.priority; });
    return list;
  }

  void prefetch(uint32_t layer, Record& record) {
    uint32_t num_begun = 0;
    for (const Candidate& candidate : predict(layer)) {
      if (is_resident(candidate.pair)) continue;
      if (num_begun++ == num_ahead_) return;
      if (resident_.size() == slots_) {
        auto victim = resident_.end();
        for (auto r = resident_.begin(); r != resident_.end(); ++r) {
          if (r->layer >= layer) continue;  // every expert from here on is a prefetch candidate
          const bool equal = victim != resident_.end() && visits_[*r] == visits_[*victim];
          if (victim == resident_.end() || visits_[*r] > visits_[*victim] || (equal && found_first(*r, *victim)))
            victim = r;
        }
        if (victim == resident_.end()) continue;
        record.leave(victim->layer, victim->expert);
        resident_.erase(victim);
      }
      resident_.push_back(candidate.pair);
      record.ahead(candidate.pair.layer, candidate.pair.expert);
    }
  }

  Shape shape_;
  uint32_t slots_;
  uint32_t trace_capacity_;
  uint32_t num_ahead_;
  std::vector<Pair> resident_;  ///< in order of arrival
  std::map<Pair, uint64_t> visits_;
  std::vector<Stored> stored_;
  uint32_t request_ = 0;
  Matrix matrix_;
};

}  // namespace

SystemPtr make_moe_infinity(const Shape& shape, uint32_t slots, uint32_t trace_capacity, uint32_t num_ahead) {
  return std::make_unique<MoeInfinity>(shape, slots, trace_capacity, num_ahead);
}

}  // namespace moe::oracle
