// SPDX-License-Identifier: Apache-2.0
// LIRS: S. Jiang, X. Zhang, "LIRS: An Efficient Low Inter-reference Recency Set Replacement Policy to Improve Buffer
// Cache Performance", SIGMETRICS 2002, sections 3.2 and 3.3.
//
// 99 % of the places are for LIR members (their last two uses are near each other), at least one for resident HIR ones.
// The stack S has keys in order of last use, down to the LIR member used longest ago: whoever is used again while in S
// becomes LIR and sends the LIR at S's bottom to the HIR queue Q. Who leaves is Q's first. Those who left stay in S.
#include <set>

#include "ir/queue_rules.h"

namespace moe::ir {
namespace {

/// Invariants  stack_ is empty or has a LIR member at its bottom, and every LIR member is in it. queue_ has the
/// resident
///             HIR, stack_ maybe as well. gone_ has the keys of stack_ that are not resident, in the order in which
///             they left. |lir_| <= lir_capacity_; |stack_| <= 2 capacity unless all of it is resident.
class Lirs : public QueueRule {
 public:
  explicit Lirs(uint32_t capacity) { set_capacity(capacity); }

  void hit(uint32_t key) override {
    const bool was_in_stack = erase(stack_, key);
    stack_.push_back(key);
    if (lir_.count(key) == 0) {
      if (was_in_stack) {
        erase(queue_, key);
        lir_.insert(key);
      } else {
        move_to_back(queue_, key);
      }
    }
    restore();
  }

  // A key that is not admitted has no place in the paper; the stack stays.
  void miss(uint32_t) override {}

  // Q's first. A LIR member only when nobody in Q may leave, the one used longest ago.
  std::optional<uint32_t> victim(uint32_t, const MayLeave& may_leave) override {
    if (const std::optional<uint32_t> found = first_that_may(queue_, may_leave)) return found;
    return first_that_may(stack_, [&](uint32_t key) { return lir_.count(key) != 0 && may_leave(key); });
  }

  void insert(uint32_t key) override {
    const bool was_in_stack = erase(stack_, key);
    erase(gone_, key);
    stack_.push_back(key);
    // While there is room every newcomer is LIR.
    if (was_in_stack || lir_.size() < lir_capacity_) {
      lir_.insert(key);
    } else {
      queue_.push_back(key);
    }
    restore();
  }

  void leave(uint32_t key, bool as_victim) override {
    const bool was_lir = lir_.erase(key) != 0;
    erase(queue_, key);
    // In the paper a LIR member would have to become HIR first, which takes it out of S.
    if (was_lir || !as_victim) {
      erase(stack_, key);
    } else if (contains(stack_, key)) {
      gone_.push_back(key);
    }
    restore();
  }

  void resize(uint32_t capacity) override {
    set_capacity(capacity);
    restore();
  }

  std::vector<Member> members() const override {
    std::vector<Member> all;
    for (const uint32_t key : queue_) all.push_back({key, "HIR"});
    for (const uint32_t key : stack_) {
      if (lir_.contains(key)) all.push_back({key, "LIR"});
    }
    return all;
  }

  bool consistent() const override {
    const auto in_stack = [this](uint32_t key) { return contains(stack_, key); };
    return disjoint(stack_) && disjoint(KeyList(lir_.begin(), lir_.end()), queue_, gone_) &&
           lir_.size() <= lir_capacity_ && (stack_.empty() || lir_.count(stack_.front()) != 0) &&
           std::all_of(lir_.begin(), lir_.end(), in_stack) && std::all_of(gone_.begin(), gone_.end(), in_stack) &&
           (gone_.empty() || stack_.size() <= 2 * size_t{capacity_}) &&
           std::all_of(stack_.begin(), stack_.end(),
                       [this](uint32_t key) { return lir_.count(key) + contains(queue_, key) + contains(gone_, key); });
  }

 private:
  void set_capacity(uint32_t capacity) {
    capacity_ = capacity;
    lir_capacity_ = capacity - std::min(capacity, share_of(capacity, 1));
  }

  void restore() {
    prune();
    while (lir_.size() > lir_capacity_) {
      const uint32_t bottom = take_front(stack_);
      lir_.erase(bottom);
      queue_.push_back(bottom);
      prune();
    }
    // The paper bounds S but leaves the bound open; this is libCacheSim's.
    while (stack_.size() > 2 * size_t{capacity_} && !gone_.empty()) erase(stack_, take_front(gone_));
  }

  // Stack pruning (3.3): HIR at the bottom would be LIR's equals on their next use.
  void prune() {
    while (!stack_.empty() && lir_.count(stack_.front()) == 0) erase(gone_, take_front(stack_));
  }

  uint32_t capacity_ = 0;
  uint32_t lir_capacity_ = 0;
  std::set<uint32_t> lir_;
  KeyList stack_;  // S, bottom first
  KeyList queue_;  // Q
  KeyList gone_;
};

}  // namespace

std::unique_ptr<QueueRule> make_lirs(uint32_t capacity) { return std::make_unique<Lirs>(capacity); }

}  // namespace moe::ir
