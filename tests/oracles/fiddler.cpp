// SPDX-License-Identifier: Apache-2.0
// Fiddler (efeslab/fiddler at 227715b): src/fiddler/mixtral.py.
//
// set_expert_loc() puts the most popular (layer, expert) pairs on the GPU, as many as fit; nothing moves afterwards.
// mixtral_forward() prices each expert of a layer at 7 per token on the CPU, at 70 on the GPU if its weights must be
// copied there, and at 0 if they are there; of all assignments it takes the first with the smallest sum, which counts
// the GPU as 0 bits: ties go to the GPU. A copied expert lands in one placeholder and stays nowhere.
#include <set>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

constexpr double kCpuPerToken = 7;
constexpr double kGpuCopy = 70;

class Fiddler : public System {
 public:
  Fiddler(uint32_t slots, const std::vector<Pair>& popular)
      : on_gpu_(popular.begin(), popular.begin() + std::min<size_t>(slots, popular.size())) {}

  Outcome step(const Dispatch& dispatch) override {
    const auto selected = by_id(dispatch);
    // The sum is smallest where each of its terms is, so the search over all assignments can go expert by expert.
    Record record;
    for (const Selected& s : selected) {
      const bool there = on_gpu_.contains({dispatch.layer, s.expert});
      const double cpu = kCpuPerToken * s.tokens;
      const double gpu = there ? 0 : kGpuCopy;
      if (cpu < gpu) {
        record.choose(s.expert, Action::cpu);
      } else {
        record.choose(s.expert, there ? Action::hit : Action::stream);
      }
    }
    return record.done();
  }

 private:
  std::set<Pair> on_gpu_;
};

}  // namespace

SystemPtr make_fiddler(const Shape&, uint32_t slots, const std::vector<Pair>& popular) {
  return std::make_unique<Fiddler>(slots, popular);
}

}  // namespace moe::oracle
