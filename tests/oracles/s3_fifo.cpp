// SPDX-License-Identifier: Apache-2.0
// S3-FIFO, one per layer: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023, algorithm 1.
//
// A tenth of the slots is the small queue S; M is the main queue; G remembers as many evicted ids as M has slots.
// Objects are requested one after another, as the paper has them: nothing is protected. Where the pseudo-code leaves
// room this does as the authors' libCacheSim: G is asked before anybody is evicted, and M may outgrow its share while
// S is searched for a victim.
#include <deque>
#include <map>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class Queues {
 public:
  explicit Queues(uint32_t slots) : small_slots_(std::max(1U, slots / 10)), slots_(slots) {}

  // True: a hit. `left` takes what is evicted, in order.
  bool read(uint32_t id, std::vector<uint32_t>& left) {
    if (frequency_.contains(id)) {
      frequency_[id] = std::min(frequency_[id] + 1, 3U);
      return true;
    }
    const auto ghost = std::find(ghost_.begin(), ghost_.end(), id);
    const bool remembered = ghost != ghost_.end();
    if (remembered) ghost_.erase(ghost);
    while (small_.size() + main_.size() >= slots_) evict(left);
    (remembered ? main_ : small_).push_front(id);
    frequency_[id] = 0;
    return false;
  }

 private:
  void evict(std::vector<uint32_t>& left) {
    if (small_.size() >= small_slots_ || main_.empty()) {
      evict_small(left);
    } else {
      evict_main(left);
    }
  }

  void evict_small(std::vector<uint32_t>& left) {
    while (!small_.empty()) {
      const uint32_t tail = small_.back();
      small_.pop_back();
      if (frequency_[tail] > 1) {
        frequency_[tail] = 0;  // the paper's text: its bits are cleared on the way
        main_.push_front(tail);
        continue;
      }
      frequency_.erase(tail);
      ghost_.push_front(tail);
      if (ghost_.size() > slots_ - small_slots_) ghost_.pop_back();
      left.push_back(tail);
      return;
    }
  }

  void evict_main(std::vector<uint32_t>& left) {
    while (!main_.empty()) {
      const uint32_t tail = main_.back();
      main_.pop_back();
      if (frequency_[tail] == 0) {
        frequency_.erase(tail);
        left.push_back(tail);
        return;
      }
      frequency_[tail] -= 1;
      main_.push_front(tail);
    }
  }

  uint32_t small_slots_;
  uint32_t slots_;
  std::deque<uint32_t> small_;  ///< youngest first
  std::deque<uint32_t> main_;
  std::deque<uint32_t> ghost_;
  std::map<uint32_t, uint32_t> frequency_;  ///< of what is in S or M
};

class S3Fifo : public System {
 public:
  S3Fifo(const Shape& shape, uint32_t slots) : layers_(shape.num_layers, Queues(slots)) {}

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    for (const Selected& s : by_appearance(dispatch)) {
      std::vector<uint32_t> left;
      record.choose(s.expert, layers_[dispatch.layer].read(s.expert, left) ? Action::hit : Action::load);
      for (uint32_t id : left) record.leave(dispatch.layer, id);
    }
    return record.done();
  }

 private:
  std::vector<Queues> layers_;
};

}  // namespace

SystemPtr make_s3_fifo(const Shape& shape, uint32_t slots) { return std::make_unique<S3Fifo>(shape, slots); }

}  // namespace moe::oracle
