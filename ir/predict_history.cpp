// SPDX-License-Identifier: Apache-2.0
// Strategies history and lookahead: what a layer used in its last dispatches it will use again.
#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "ir/predictor.h"

namespace moe::ir {
namespace {

class WindowPredictor : public Predictor {
 public:
  explicit WindowPredictor(const PredictorSetup& setup) : setup_(setup), windows_(setup.num_layers) {}

  void observe(const Observation& observation) override {
    std::set<uint32_t> used;
    for (const ExpertDecision& expert : observation.experts) used.insert(expert.expert);
    Window& window = windows_[observation.layer];
    window.push_back(std::move(used));
    while (window.size() > setup_.rule->history_window.value) window.pop_front();
  }

 protected:
  using Window = std::deque<std::set<uint32_t>>;

  // The experts in the layer's window: most frequent first, then more recent use, then lower id.
  std::vector<Candidate> candidates_of(uint32_t layer) const {
    struct Use {
      uint32_t expert = 0;
      uint64_t count = 0;
      size_t last = 0;  // position in the window
    };
    const Window& window = windows_[layer];
    std::map<uint32_t, Use> uses;
    for (size_t i = 0; i < window.size(); ++i) {
      for (uint32_t expert : window[i]) {
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
      candidates.push_back({layer, use.expert, static_cast<double>(use.count) / static_cast<double>(window.size())});
    }
    return candidates;
  }

  const PredictorSetup setup_;

 private:
  std::vector<Window> windows_;  // per layer: the experts of its last dispatches, oldest first
};

class History final : public WindowPredictor {
 public:
  using WindowPredictor::WindowPredictor;
  std::vector<Candidate> predict(uint32_t layer) override {
    return candidates_of(static_cast<uint32_t>((uint64_t{layer} + setup_.rule->lookahead.value) % setup_.num_layers));
  }
};

class Lookahead final : public WindowPredictor {
 public:
  using WindowPredictor::WindowPredictor;
  std::vector<Candidate> predict(uint32_t layer) override {
    std::vector<Candidate> all;
    const uint32_t reach = std::min(setup_.rule->lookahead.value, setup_.num_layers);
    for (uint32_t i = 1; i <= reach; ++i) {
      const std::vector<Candidate> of_target = candidates_of((layer + i) % setup_.num_layers);
      all.insert(all.end(), of_target.begin(), of_target.end());
    }
    return all;
  }
};

}  // namespace

std::unique_ptr<Predictor> make_history(const PredictorSetup& setup) { return std::make_unique<History>(setup); }
std::unique_ptr<Predictor> make_lookahead(const PredictorSetup& setup) { return std::make_unique<Lookahead>(setup); }

}  // namespace moe::ir
