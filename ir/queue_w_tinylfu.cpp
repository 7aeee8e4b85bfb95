// SPDX-License-Identifier: Apache-2.0
// W-TinyLFU: G. Einziger, R. Friedman, B. Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", ACM Transactions
// on Storage 13(4), 2017: sections 3.2-3.4 (counters and their aging), 4 (the window and the segmented main part).
//
// A newcomer enters a small LRU window. Who falls out of the window enters the main part if that has room, or if it was
// used more often lately than the one who would have to leave there; otherwise it leaves itself. The main part is a
// segmented LRU: 20 % probation, 80 % for those hit while on probation. There are few experts, so each has a counter of
// its own in place of the paper's sketch.
#include <fmt/format.h>

#include <map>

#include "ir/queue_rules.h"

namespace moe::ir {
namespace {

constexpr uint32_t kMaxCount = 15;          // four bits
constexpr uint32_t kAccessesPerPlace = 10;  // between two halvings

/// Invariants  the three lists share no key. After an access, |protected_| <= protected_capacity_, and the window has
///             more than its share only while the main part has at least its own.
class WTinyLfu : public QueueRule {
 public:
  explicit WTinyLfu(uint32_t capacity) { set_capacity(capacity); }

  void hit(uint32_t key) override {
    count(key);
    if (contains(window_, key)) {
      move_to_back(window_, key);
    } else if (erase(probation_, key)) {
      protected_.push_back(key);
      demote();
    } else {
      move_to_back(protected_, key);
    }
  }

  void miss(uint32_t key) override { count(key); }

  std::optional<uint32_t> victim(uint32_t, const MayLeave& may_leave) override {
    const size_t members = window_.size() + probation_.size() + protected_.size();
    const size_t newcomers = members > capacity_ ? 0 : 1;  // none: the capacity shrank
    const std::optional<uint32_t> from_window = first_that_may(window_, may_leave);
    std::optional<uint32_t> from_main = first_that_may(probation_, may_leave);
    if (!from_main) from_main = first_that_may(protected_, may_leave);
    if (!from_window || !from_main) return from_window ? from_window : from_main;
    if (window_.size() + newcomers <= window_capacity_) return from_main;
    if (frequency(*from_window) <= frequency(*from_main)) return from_window;
    erase(window_, *from_window);
    probation_.push_back(*from_window);
    return from_main;
  }

  void insert(uint32_t key) override {
    window_.push_back(key);
    while (window_.size() > window_capacity_ && probation_.size() + protected_.size() < capacity_ - window_capacity_) {
      probation_.push_back(take_front(window_));
    }
  }

  void leave(uint32_t key, bool) override {
    if (!erase(window_, key) && !erase(probation_, key)) erase(protected_, key);
  }

  void resize(uint32_t capacity) override {
    set_capacity(capacity);
    demote();
  }

  std::vector<Member> members() const override {
    std::vector<Member> all;
    const auto add = [&](const KeyList& list, std::string_view name) {
      for (const uint32_t key : list) all.push_back({key, name, fmt::format("count {}", frequency(key))});
    };
    add(window_, "window");
    add(probation_, "probation");
    add(protected_, "protected");
    return all;
  }

  std::string standing() const override {
    return fmt::format("the window has {}, its share is {}", window_.size(), window_capacity_);
  }

  bool consistent() const override {
    return disjoint(window_, probation_, protected_) && protected_.size() <= protected_capacity_ &&
           std::all_of(counts_.begin(), counts_.end(), [](const auto& entry) { return entry.second <= kMaxCount; });
  }

 private:
  void set_capacity(uint32_t capacity) {
    capacity_ = capacity;
    window_capacity_ = std::min(capacity, share_of(capacity, 1));
    protected_capacity_ = share_of(capacity - window_capacity_, 80);
  }

  uint32_t frequency(uint32_t key) const {
    const auto found = counts_.find(key);
    return found == counts_.end() ? 0 : found->second;
  }

  void count(uint32_t key) {
    uint32_t& uses = counts_[key];
    uses = std::min(uses + 1, kMaxCount);
    if (++accesses_ < uint64_t{kAccessesPerPlace} * capacity_) return;
    accesses_ = 0;
    for (auto& entry : counts_) entry.second /= 2;
  }

  void demote() {
    while (protected_.size() > protected_capacity_) probation_.push_back(take_front(protected_));
  }

  uint32_t capacity_ = 0;
  uint32_t window_capacity_ = 0;
  uint32_t protected_capacity_ = 0;
  uint64_t accesses_ = 0;  // since the last halving
  KeyList window_;         // least recently used first, as all three
  KeyList probation_;
  KeyList protected_;
  std::map<uint32_t, uint32_t> counts_;
};

}  // namespace

std::unique_ptr<QueueRule> make_w_tinylfu(uint32_t capacity) { return std::make_unique<WTinyLfu>(capacity); }

}  // namespace moe::ir
