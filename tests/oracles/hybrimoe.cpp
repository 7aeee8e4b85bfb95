// SPDX-License-Identifier: Apache-2.0
// HybriMoE (PKU-SEC-Lab/HybriMoE at 508a85b): ktransformers/operators/experts.py (KScoreAwareCache, KExpertsCache with
// HSS), gate in ktransformers/models/modeling_deepseek.py.
//
// The gate moves the score of every expert of its layer: s = a p + (1 - a) s for the 2 k largest router scores p,
// s = (1 - a) s for the others, a = 0.5. The resident with the smallest score makes room, even if this token wants it;
// of equals the one that came or was fetched first. At start the first experts of each layer fill the slots. HSS deals
// a token's experts, residents first, from the head to the GPU or from the tail to the CPU, whichever queue would be
// done earlier; a resident may so be computed on the CPU, and does not count as fetched then. Afterwards the next
// layer's `prefetch_size` best scores are loaded where absent, if the GPU had work; the last layer has no next. In
// prefill everything runs on the GPU, what is absent through a buffer.
#include <deque>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

constexpr double kAlpha = 0.5;
constexpr double kGpuTime = 0.5;
constexpr double kCpuTimePerToken = 1;
constexpr double kCpuSetup = 0.79;
constexpr double kMoveTime = 0.41791011235117914;

class HybriMoe : public System {
 public:
  HybriMoe(const Shape& shape, uint32_t slots, uint32_t prefetch_size)
      : shape_(shape), prefetch_size_(prefetch_size), loaded_(shape.num_layers) {
    scores_.assign(shape.num_layers, std::vector<double>(shape.num_experts, 0.0));
    for (auto& layer : loaded_) {
      for (uint32_t e = 0; e < slots; ++e) layer.push_back(e);
    }
  }

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    move_scores(dispatch);
    auto& loaded = loaded_[dispatch.layer];
    std::deque<uint32_t> line;
    std::vector<uint32_t> absent;
    for (const Selected& s : by_appearance(dispatch)) {
      (is_loaded(dispatch.layer, s.expert) ? line.push_back(s.expert) : absent.push_back(s.expert));
    }
    if (dispatch.prefill) {
      for (uint32_t e : line) record.choose(e, Action::hit);
      for (uint32_t e : absent) record.choose(e, Action::stream);
      return record.done();
    }
    line.insert(line.end(), absent.begin(), absent.end());
    std::vector<uint32_t> present;
    std::vector<uint32_t> wanted;
    for (uint32_t e : schedule(dispatch.layer, line, record)) {
      (is_loaded(dispatch.layer, e) ? present : wanted).push_back(e);
    }
    for (uint32_t e : present) {
      loaded.erase(std::find(loaded.begin(), loaded.end(), e));
      loaded.push_back(e);
      record.choose(e, Action::hit);
    }
    for (uint32_t e : wanted) {
      load(dispatch.layer, e, record);
      record.choose(e, Action::load);
    }
    if (!present.empty() || !wanted.empty()) prefetch(dispatch.layer + 1, record);
    return record.done();
  }

 private:
  bool is_loaded(uint32_t layer, uint32_t expert) const {
    return std::find(loaded_[layer].begin(), loaded_[layer].end(), expert) != loaded_[layer].end();
  }

  // Only the first token's scores move anything. The trace has the scores of the k selected ones; the rest count as 0.
  void move_scores(const Dispatch& dispatch) {
    auto& scores = scores_[dispatch.layer];
    for (double& s : scores) s = (1 - kAlpha) * s;
    for (size_t k = 0; k < dispatch.ids[0].size(); ++k) scores[dispatch.ids[0][k]] += kAlpha * dispatch.weights[0][k];
  }

  // What the GPU gets, in order; the CPU's share goes into the record. One token: every expert has one.
  std::vector<uint32_t> schedule(uint32_t layer, std::deque<uint32_t> line, Record& record) const {
    std::vector<uint32_t> gpu_queue;
    double gpu_total = 0;
    double cpu_total = 0;
    double moves = 0;
    while (!line.empty()) {
      const bool move = !is_loaded(layer, line.front());
      double gpu_time = kGpuTime;
      if (move && moves + kMoveTime > gpu_total) gpu_time += moves + kMoveTime - gpu_total;
      const double cpu_time = kCpuTimePerToken + (cpu_total == 0 ? kCpuSetup : 0);
      if (gpu_total + gpu_time <= cpu_total + cpu_time) {
        if (move) moves += kMoveTime;
        gpu_total += gpu_time;
        gpu_queue.push_back(line.front());
        line.pop_front();
      } else {
        cpu_total += cpu_time;
        record.choose(line.back(), Action::cpu);
        line.pop_back();
      }
    }
    return gpu_queue;
  }

  void load(uint32_t layer, uint32_t expert, Record& record) {
    auto& loaded = loaded_[layer];
    auto victim = loaded.begin();
    for (auto e = loaded.begin(); e != loaded.end(); ++e) {
      if (scores_[layer][*e] < scores_[layer][*victim]) victim = e;
    }
    record.leave(layer, *victim);
    loaded.erase(victim);
    loaded.push_back(expert);
  }

  void prefetch(uint32_t layer, Record& record) {
    if (layer == shape_.num_layers) return;
    std::vector<uint32_t> order(shape_.num_experts);
    for (uint32_t e = 0; e < shape_.num_experts; ++e) order[e] = e;
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return scores_[layer][a] > scores_[layer][b]; });
    order.resize(prefetch_size_);
    for (uint32_t e : order) {
      if (scores_[layer][e] == 0 || is_loaded(layer, e)) continue;  // a score of 0 tells nothing: any would do
      load(layer, e, record);
      record.ahead(layer, e);
    }
  }

  Shape shape_;
  uint32_t prefetch_size_;
  std::vector<std::deque<uint32_t>> loaded_;  ///< in order of arrival or last fetch
  std::vector<std::vector<double>> scores_;
};

}  // namespace

SystemPtr make_hybrimoe(const Shape& shape, uint32_t slots, uint32_t prefetch_size) {
  return std::make_unique<HybriMoe>(shape, slots, prefetch_size);
}

}  // namespace moe::oracle
