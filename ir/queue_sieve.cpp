// SPDX-License-Identifier: Apache-2.0
// SIEVE: Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson, K. V. Rashmi, "SIEVE is Simpler than LRU", NSDI 2024, Algorithm 1.
//
// One queue in order of insertion, one visited bit per member, and a hand that walks from the oldest to the newest and
// then from the oldest again. It clears the bits that it passes; the first member without one leaves.
#include <set>

#include "ir/queue_rules.h"

namespace moe::ir {
namespace {

/// Invariant  hand_ is a member's place or the end, which stands for "at the oldest". visited_ are members.
class Sieve : public QueueRule {
 public:
  void hit(uint32_t key) override { visited_.insert(key); }
  void miss(uint32_t) override {}

  std::optional<uint32_t> victim(uint32_t, const MayLeave& may_leave) override {
    if (!first_that_may(queue_, may_leave)) return std::nullopt;
    // Ends within two rounds: the first one clears the bits of all that may leave.
    for (;; ++hand_) {
      if (hand_ == queue_.end()) hand_ = queue_.begin();
      if (may_leave(*hand_) && visited_.erase(*hand_) == 0) return *hand_;
    }
  }

  void insert(uint32_t key) override { queue_.push_back(key); }

  void leave(uint32_t key, bool) override {
    const auto place = std::find(queue_.begin(), queue_.end(), key);
    if (hand_ == place) ++hand_;
    queue_.erase(place);
    visited_.erase(key);
  }

  void resize(uint32_t) override {}

  // From the hand on, round to where it stands.
  std::vector<Member> members() const override {
    std::vector<Member> all;
    const auto add = [&](KeyList::const_iterator place, KeyList::const_iterator end) {
      for (; place != end; ++place) all.push_back({*place, "queue", visited_.contains(*place) ? "visited" : ""});
    };
    const KeyList::const_iterator hand = hand_;
    add(hand, queue_.end());
    add(queue_.begin(), hand);
    return all;
  }

  bool consistent() const override {
    return disjoint(queue_) &&
           std::all_of(visited_.begin(), visited_.end(), [this](uint32_t key) { return contains(queue_, key); });
  }

 private:
  KeyList queue_;
  KeyList::iterator hand_ = queue_.end();
  std::set<uint32_t> visited_;
};

}  // namespace

std::unique_ptr<QueueRule> make_sieve(uint32_t) { return std::make_unique<Sieve>(); }

}  // namespace moe::ir
