// SPDX-License-Identifier: Apache-2.0
// Strategies history and lookahead: what a layer used in its last dispatches it will use again.
#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "ir/predictor.h"

namespace moe::ir {
namespace {

class WindowPredictor final : public Predictor {
 public:
  explicit WindowPredictor(const PredictorSetup& setup) : setup_(setup), dispatches_(setup.num_layers) {}

  void observe(const Observation& observation) override {
    std::set<uint32_t> used;
    for (const ExpertDecision& expert : observation.experts) used.insert(expert.expert);
    std::deque<std::set<uint32_t>>& dispatches = dispatches_[observation.layer];
    dispatches.push_back(std::move(used));
    if (dispatches.size() > kMostWindow) dispatches.pop_front();
  }

  std::vector<Candidate> predict(uint32_t layer) override {
    const uint32_t lookahead = setup_.rule->lookahead.value;
    if (!(setup_.rule->strategy.value == Strategy::lookahead)) {
      return candidates_of(static_cast<uint32_t>((uint64_t{layer} + lookahead) % setup_.num_layers));
    }
    std::vector<Candidate> all;
    for (uint32_t i = 1; i <= std::min(lookahead, setup_.num_layers); ++i) {
      const std::vector<Candidate> of_target = candidates_of((layer + i) % setup_.num_layers);
      all.insert(all.end(), of_target.begin(), of_target.end());
    }
    return all;
  }

 private:
  static constexpr size_t kMostWindow = 4096;  // what a policy may write

  // The experts in the layer's window: most frequent first, then more recent use, then lower id.
  std::vector<Candidate> candidates_of(uint32_t layer) const {
    struct Use {
      uint32_t expert = 0;
      uint64_t count = 0;
      size_t last = 0;  // position in the window
    };
    const std::deque<std::set<uint32_t>>& dispatches = dispatches_[layer];
    const size_t length = std::min<size_t>(dispatches.size(), setup_.rule->history_window.value);
    const auto window = [&](size_t i) -> const std::set<uint32_t>& {
      return dispatches[dispatches.size() - length + i];
    };
    std::map<uint32_t, Use> uses;
    for (size_t i = 0; i < length; ++i) {
      for (uint32_t expert : window(i)) {
        Use& use = uses[expert];
        use = {expert, use.count + 1, i};
      }
    }
    std::vector<Use> sorted;
    for (const auto& [expert, use] : uses) sorted.push_back(use);
    std::sort(sorted.begin(), sorted.end(), [](const Use& a, const Use& b) {
      if (a.count != b.count) return a.count > b.count;
      if (a.last != b.last) return a.last > b.last;
      return a.expert < b.expert;
    });
    std::vector<Candidate> candidates;
    for (const Use& use : sorted) {
      candidates.push_back({layer, use.expert, static_cast<double>(use.count) / static_cast<double>(length)});
    }
    return candidates;
  }

  const PredictorSetup setup_;
  std::vector<std::deque<std::set<uint32_t>>> dispatches_;  // per layer: the experts of its last dispatches
};

}  // namespace

std::unique_ptr<Predictor> make_history(const PredictorSetup& setup) {
  return std::make_unique<WindowPredictor>(setup);
}

}  // namespace moe::ir
