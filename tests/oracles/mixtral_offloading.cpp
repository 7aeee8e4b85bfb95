// SPDX-License-Identifier: Apache-2.0
// mixtral-offloading (dvmazur/mixtral-offloading at ce54518): src/expert_cache.py, src/build_model.py.
//
// Each layer is an "eviction group". At start the first `offload_per_layer` experts of a layer lie in host memory and
// the others on the device. load_experts() takes the distinct ids in ascending order (torch.unique), those on the
// device first; it marks all of them as used, and then swaps each absent one with the least recently used expert of
// the group, without regard to what the same call needs: a module that was on the device is held by then.
#include <deque>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

constexpr uint32_t kMixtralExperts = 8;  // a larger model's others begin in host memory too

class MixtralOffloading : public System {
 public:
  MixtralOffloading(const Shape& shape, uint32_t offload_per_layer) : groups_(shape.num_layers) {
    for (auto& group : groups_) {
      for (uint32_t e = offload_per_layer; e < std::min(shape.num_experts, kMixtralExperts); ++e) group.push_back(e);
    }
  }

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    std::deque<uint32_t>& main = groups_[dispatch.layer];  // least recently used first
    std::vector<uint32_t> absent;
    for (const Selected& s : by_id(dispatch)) {
      const auto found = std::find(main.begin(), main.end(), s.expert);
      if (found == main.end()) {
        absent.push_back(s.expert);
      } else {
        main.erase(found);
        main.push_back(s.expert);
        record.choose(s.expert, Action::hit);
      }
    }
    for (uint32_t expert : absent) {
      record.leave(dispatch.layer, main.front());
      main.pop_front();
      main.push_back(expert);
      record.choose(expert, Action::load);
    }
    return record.done();
  }

 private:
  std::vector<std::deque<uint32_t>> groups_;
};

}  // namespace

SystemPtr make_mixtral_offloading(const Shape& shape, uint32_t offload_per_layer) {
  return std::make_unique<MixtralOffloading>(shape, offload_per_layer);
}

}  // namespace moe::oracle
