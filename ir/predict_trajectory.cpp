// SPDX-License-Identifier: Apache-2.0
// Strategy trajectory: the past token whose router probabilities in the first layers look most like this one's says
// what the later layers need. FineMoE (EuroSys '26; runtime/model_offload.py of the public code, revision 5c58468),
// its half that needs no embeddings.
#include <algorithm>
#include <numeric>

#include "ir/cosine.h"
#include "ir/predictor.h"

namespace moe::ir {
namespace {

/// Router probabilities of one token, [layer * num_experts + expert]; layers that have not run: 0.
using Map = std::vector<float>;

class Trajectory final : public Predictor {
 public:
  explicit Trajectory(const PredictorSetup& setup) : setup_(setup) {}

  void observe(const Observation& observation) override {
    const bool full = !observation.probabilities.empty();
    const size_t num_tokens = full ? observation.num_tokens : 1;
    const size_t num_maps = std::min<size_t>(num_tokens, setup_.rule->store.value);
    const bool goes_on = num_layers_seen_ > 0 && observation.layer >= num_layers_seen_ && num_tokens_ == num_tokens &&
                         maps_.size() == num_maps;
    num_tokens_ = num_tokens;
    if (!goes_on) maps_.assign(num_maps, Map(size_t{setup_.num_layers} * setup_.num_experts, 0.0F));
    num_layers_seen_ = observation.layer + 1;
    const size_t row = size_t{observation.layer} * setup_.num_experts;
    if (full) {
      for (size_t t = 0; t < num_maps; ++t) {
        const size_t token = num_tokens - num_maps + t;
        const auto probabilities = observation.probabilities.subspan(token * setup_.num_experts, setup_.num_experts);
        std::copy(probabilities.begin(), probabilities.end(), maps_[t].begin() + static_cast<ptrdiff_t>(row));
      }
    } else {
      for (const ExpertDecision& expert : observation.experts) {
        maps_[0][row + expert.expert] = static_cast<float>(expert.weight);
      }
    }
    if (num_layers_seen_ == setup_.num_layers) keep(maps_);
  }

  std::vector<Candidate> predict(uint32_t layer) override {
    const uint64_t first = uint64_t{layer} + setup_.rule->lookahead.value;
    if (store_.empty() || maps_.empty() || maps_.back().empty() || layer + 1 != num_layers_seen_ ||
        first >= setup_.num_layers) {
      return {};
    }
    const size_t observed = size_t{num_layers_seen_} * setup_.num_experts;
    const auto [best, similarity] = most_similar(maps_.back(), observed);
    const double enough = std::clamp(1.0 - similarity, 0.0, 1.0);
    struct Ranked {
      double priority = 0;
      Candidate candidate;
    };
    std::vector<Ranked> ranked;
    for (auto target = static_cast<uint32_t>(first); target < setup_.num_layers; ++target) {
      const double nearness = 1.0 - static_cast<double>(target - first) / static_cast<double>(setup_.num_layers + 1);
      for (const Candidate& candidate : select(store_[best], target, enough)) {
        ranked.push_back({candidate.predicted * nearness, candidate});
      }
    }
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const Ranked& a, const Ranked& b) { return a.priority > b.priority; });
    std::vector<Candidate> candidates;
    for (const Ranked& r : ranked) candidates.push_back(r.candidate);
    return candidates;
  }

 private:
  struct Match {
    size_t place = 0;
    double similarity = 0;
  };

  // The first of the most similar. Requires a store that is not empty.
  Match most_similar(const Map& map, size_t size) const {
    Match best{0, cosine(map.data(), store_[0].data(), size)};
    for (size_t i = 1; i < store_.size(); ++i) {
      const double similarity = cosine(map.data(), store_[i].data(), size);
      if (similarity > best.similarity) best = {i, similarity};
    }
    return best;
  }

  // Most probable first, while they add up to no more than `enough`, but at least top_k; never one of probability 0.
  std::vector<Candidate> select(const Map& map, uint32_t layer, double enough) const {
    const float* row = &map[size_t{layer} * setup_.num_experts];
    std::vector<uint32_t> order(setup_.num_experts);
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [row](uint32_t a, uint32_t b) { return row[a] > row[b]; });
    std::vector<Candidate> selected;
    double sum = 0;
    for (uint32_t expert : order) {
      const auto probability = static_cast<double>(row[expert]);
      sum += probability;
      if (probability <= 0 || (selected.size() >= setup_.top_k && !(sum <= enough))) break;
      selected.push_back({layer, expert, std::min(probability, 1.0)});
    }
    return selected;
  }

  // Finished tokens: into free places first; each of the rest then takes the place of the most similar one.
  void keep(const std::vector<Map>& maps) {
    const size_t size = setup_.rule->store.value;
    if (store_.size() > size) store_.resize(size);
    size_t next = 0;
    while (next < maps.size() && store_.size() < size) store_.push_back(maps[next++]);
    std::vector<size_t> places;  // found before any is taken
    for (size_t i = next; i < maps.size(); ++i) places.push_back(most_similar(maps[i], maps[i].size()).place);
    for (size_t i = 0; i < places.size(); ++i) store_[places[i]] = maps[next + i];
  }

  const PredictorSetup setup_;
  std::vector<Map> maps_;         // of the last `store` tokens under way, in the dispatch's order
  size_t num_tokens_ = 0;         // of that dispatch
  uint32_t num_layers_seen_ = 0;  // layers 0 .. this - 1 of maps_ have run (or were skipped)
  std::vector<Map> store_;
};

}  // namespace

std::unique_ptr<Predictor> make_trajectory(const PredictorSetup& setup) { return std::make_unique<Trajectory>(setup); }

}  // namespace moe::ir
