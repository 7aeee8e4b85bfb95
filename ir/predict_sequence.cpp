// SPDX-License-Identifier: Apache-2.0
// Strategy sequence: the past request whose expert counts look most like this one's says how this one goes on.
// MoE-Infinity (arXiv 2401.14361; expert_tracer.py, expert_predictor.py of the public code, revision d617801).
#include <algorithm>
#include <numeric>
#include <optional>

#include "ir/cosine.h"
#include "ir/predictor.h"

namespace moe::ir {
namespace {

/// Selections of every expert in one request, [layer * num_experts + expert].
using Matrix = std::vector<uint64_t>;

class Sequence final : public Predictor {
 public:
  explicit Sequence(const PredictorSetup& setup)
      : setup_(setup), current_(size_t{setup.num_layers} * setup.num_experts) {}

  void observe(const Observation& observation) override {
    if (observation.new_request) finish();
    for (const ExpertDecision& expert : observation.experts) {
      current_[size_t{observation.layer} * setup_.num_experts + expert.expert] += expert.num_selections;
      any_ = true;
    }
    best_ = most_similar(observation.layer);
    if (best_) ++store_[*best_].matches;
  }

  std::vector<Candidate> predict(uint32_t layer) override {
    if (!best_) return {};
    const size_t n = setup_.num_experts;
    const Matrix& counts = store_[*best_].matrix;
    const uint64_t end = std::min<uint64_t>(setup_.num_layers, uint64_t{layer} + 1 + setup_.rule->lookahead.value);
    struct Ranked {
      double priority = 0;
      Candidate candidate;
    };
    std::vector<Ranked> ranked;
    for (uint32_t target = layer + 1; target < end; ++target) {
      const uint64_t* row = &counts[target * n];
      const auto total = static_cast<double>(std::accumulate(row, row + n, uint64_t{0}));
      const double nearness = 1.0 - static_cast<double>(target - layer) / static_cast<double>(setup_.num_layers + 1);
      for (uint32_t e = 0; e < n; ++e) {
        if (row[e] == 0) continue;
        const double priority = static_cast<double>(row[e]) * nearness;
        ranked.push_back({priority, {target, e, priority / total}});
      }
    }
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const Ranked& a, const Ranked& b) { return a.priority > b.priority; });
    std::vector<Candidate> candidates;
    for (const Ranked& r : ranked) candidates.push_back(r.candidate);
    return candidates;
  }

 private:
  struct Stored {
    Matrix matrix;
    uint64_t matches = 1;
  };

  // The request has ended: its matrix takes a free place of the store, or that of the least often matched.
  void finish() {
    const size_t size = setup_.rule->store.value;
    if (any_) {
      while (store_.size() > size) store_.erase(least_matched());
      if (store_.size() < size) {
        store_.push_back({current_, 1});
      } else {
        *least_matched() = {current_, 1};
      }
    }
    std::fill(current_.begin(), current_.end(), 0);
    any_ = false;
  }

  // The first of them.
  std::vector<Stored>::iterator least_matched() {
    return std::min_element(store_.begin(), store_.end(),
                            [](const Stored& a, const Stored& b) { return a.matches < b.matches; });
  }

  // The place of the first stored request with the largest sum of cosines over the layers after `layer`.
  std::optional<size_t> most_similar(uint32_t layer) const {
    std::optional<size_t> best;
    double best_sum = 0;
    const size_t n = setup_.num_experts;
    for (size_t i = 0; i < store_.size(); ++i) {
      double sum = 0;
      for (size_t l = layer + 1; l < setup_.num_layers; ++l) {
        sum += cosine(&current_[l * n], &store_[i].matrix[l * n], n);
      }
      if (!best || sum > best_sum) {
        best = i;
        best_sum = sum;
      }
    }
    return best;
  }

  const PredictorSetup setup_;
  Matrix current_;
  bool any_ = false;  // current_ has a selection
  std::vector<Stored> store_;
  std::optional<size_t> best_;  // match of the last dispatch
};

}  // namespace

std::unique_ptr<Predictor> make_sequence(const PredictorSetup& setup) { return std::make_unique<Sequence>(setup); }

}  // namespace moe::ir
