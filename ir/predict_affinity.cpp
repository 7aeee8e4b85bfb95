// SPDX-License-Identifier: Apache-2.0
// Strategy affinity: which experts of the next layer ran after the experts that ran now.
#include <algorithm>
#include <optional>

#include "ir/predictor.h"

namespace moe::ir {
namespace {

std::vector<uint32_t> ascending_experts(const Observation& observation) {
  std::vector<uint32_t> experts;
  for (const ExpertDecision& expert : observation.experts) experts.push_back(expert.expert);
  std::sort(experts.begin(), experts.end());
  return experts;
}

class Affinity final : public Predictor {
 public:
  explicit Affinity(const PredictorSetup& setup) : setup_(setup), layers_(setup.num_layers) {}

  void observe(const Observation& observation) override {
    std::vector<uint32_t> selected = ascending_experts(observation);
    if (setup_.profile == nullptr) {
      if (last_layer_ && (*last_layer_ + 1) % setup_.num_layers == observation.layer) {
        count_pairs(layers_[*last_layer_], selected);
      }
      count_dispatch(layers_[observation.layer]);
    }
    selected_ = std::move(selected);
    last_layer_ = observation.layer;
  }

  std::vector<Candidate> predict(uint32_t layer) override {
    std::vector<Candidate> candidates;
    if (last_layer_ != layer || selected_.empty()) return candidates;
    for (uint32_t j = 0; j < setup_.num_experts; ++j) {
      double sum = 0;
      for (uint32_t i : selected_) sum += share(layer, i, j);
      const double predicted = sum / static_cast<double>(selected_.size());
      if (predicted > 0 && predicted >= setup_.rule->affinity_threshold.value) {
        candidates.push_back({(layer + 1) % setup_.num_layers, j, predicted});
      }
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& a, const Candidate& b) { return a.predicted > b.predicted; });
    return candidates;
  }

 private:
  /// What followed the experts of one layer. Empty until its first pair.
  struct Layer {
    uint64_t dispatches = 0;
    std::vector<double> uses;   // [i]: dispatches with i that one of the next layer followed
    std::vector<double> pairs;  // [i * num_experts + j]: those of them where j ran then
  };

  void count_pairs(Layer& layer, const std::vector<uint32_t>& followers) const {
    const size_t n = setup_.num_experts;
    if (layer.uses.empty()) {
      layer.uses.assign(n, 0);
      layer.pairs.assign(n * n, 0);
    }
    for (uint32_t i : selected_) {
      layer.uses[i] += 1;
      for (uint32_t j : followers) layer.pairs[i * n + j] += 1;
    }
  }

  void count_dispatch(Layer& layer) const {
    if (++layer.dispatches % setup_.decay_interval != 0) return;
    for (double& count : layer.uses) count *= setup_.frequency_decay;
    for (double& count : layer.pairs) count *= setup_.frequency_decay;
  }

  // Of the uses of expert i of `layer`, those after which j of the next layer ran.
  double share(uint32_t layer, uint32_t i, uint32_t j) const {
    if (setup_.profile != nullptr) {
      const std::map<uint32_t, double>& row = setup_.profile->affinity[layer][i];
      const auto found = row.find(j);
      return found == row.end() ? 0 : found->second;
    }
    const Layer& counts = layers_[layer];
    if (counts.uses.empty() || !(counts.uses[i] > 0)) return 0;
    return counts.pairs[size_t{i} * setup_.num_experts + j] / counts.uses[i];
  }

  const PredictorSetup setup_;
  std::vector<Layer> layers_;
  std::vector<uint32_t> selected_;  // of the last dispatch, ascending
  std::optional<uint32_t> last_layer_;
};

}  // namespace

std::unique_ptr<Predictor> make_affinity(const PredictorSetup& setup) { return std::make_unique<Affinity>(setup); }

}  // namespace moe::ir
