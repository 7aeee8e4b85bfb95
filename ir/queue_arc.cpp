// SPDX-License-Identifier: Apache-2.0
// ARC: N. Megiddo, D. S. Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 2003, Figure 4.
//
// T1 holds members used once, T2 those used again, both in order of last use. B1 and B2 remember who left them. A miss
// that B1 remembers says that T1 is too small, one that B2 remembers says the same of T2; `p` is the size that T1
// should have.
#include <fmt/format.h>

#include "ir/queue_rules.h"

namespace moe::ir {
namespace {

/// Invariants  the four lists share no key. |T1| + |B1| <= c and |T1| + |B1| + |T2| + |B2| <= 2c, unless members alone
///             are more (after the capacity shrank). 0 <= p <= c.
class Arc : public QueueRule {
 public:
  explicit Arc(uint32_t capacity) : capacity_(capacity) {}

  // Case I.
  void hit(uint32_t key) override {
    erase(once_, key);
    again_.remove(key);
    again_.push_back(key);
  }

  // Cases II and III: the adaptation. The ghost stays until the key really enters.
  void miss(uint32_t key) override {
    const double b1 = static_cast<double>(once_ghosts_.size());
    const double b2 = static_cast<double>(again_ghosts_.size());
    if (contains(once_ghosts_, key)) {
      once_target_ = std::min(once_target_ + std::max(b2 / b1, 1.0), static_cast<double>(capacity_));
    } else if (contains(again_ghosts_, key)) {
      once_target_ = std::max(once_target_ - std::max(b1 / b2, 1.0), 0.0);
    }
  }

  // REPLACE. When the list that it points at has nobody who may leave, the other one gives.
  std::optional<uint32_t> victim(uint32_t newcomer, const MayLeave& may_leave) override {
    const double size = static_cast<double>(once_.size());
    const bool from_once = size > once_target_ || (size == once_target_ && contains(again_ghosts_, newcomer));
    const std::optional<uint32_t> found = first_that_may(from_once ? once_ : again_, may_leave);
    return found ? found : first_that_may(from_once ? again_ : once_, may_leave);
  }

  void insert(uint32_t key) override {
    if (erase(once_ghosts_, key) || erase(again_ghosts_, key)) {
      again_.push_back(key);
    } else {
      once_.push_back(key);
    }
    trim_ghosts();
  }

  void leave(uint32_t key, bool as_victim) override {
    if (erase(once_, key)) {
      if (as_victim) once_ghosts_.push_back(key);
    } else if (erase(again_, key) && as_victim) {
      again_ghosts_.push_back(key);
    }
    trim_ghosts();
  }

  void resize(uint32_t capacity) override {
    capacity_ = capacity;
    once_target_ = std::min(once_target_, static_cast<double>(capacity));
    trim_ghosts();
  }

  std::vector<Member> members() const override {
    std::vector<Member> all;
    for (const uint32_t key : once_) all.push_back({key, "T1"});
    for (const uint32_t key : again_) all.push_back({key, "T2"});
    return all;
  }

  std::string standing() const override {
    return fmt::format("T1 has {}, its target p is {:.4g}", once_.size(), once_target_);
  }

  bool consistent() const override {
    const size_t once = once_.size() + once_ghosts_.size();
    const size_t all = once + again_.size() + again_ghosts_.size();
    return disjoint(once_, once_ghosts_, again_, again_ghosts_) && (once <= capacity_ || once_ghosts_.empty()) &&
           (all <= 2 * size_t{capacity_} || again_ghosts_.empty()) && once_target_ >= 0 && once_target_ <= capacity_;
  }

 private:
  // What case IV does before it replaces, done after the insertion: the same ghosts remain, also when places were free.
  // Case IV's victim that no ghost list remembers (T1 fills the cache) enters B1 here and is dropped at the insertion.
  void trim_ghosts() {
    while (!once_ghosts_.empty() && once_.size() + once_ghosts_.size() > capacity_) once_ghosts_.pop_front();
    while (!again_ghosts_.empty() &&
           once_.size() + once_ghosts_.size() + again_.size() + again_ghosts_.size() > 2 * size_t{capacity_}) {
      again_ghosts_.pop_front();
    }
  }

  uint32_t capacity_;
  double once_target_ = 0;  // p
  KeyList once_;            // T1, least recently used first, as all four
  KeyList again_;           // T2
  KeyList once_ghosts_;     // B1
  KeyList again_ghosts_;    // B2
};

}  // namespace

std::unique_ptr<QueueRule> make_arc(uint32_t capacity) { return std::make_unique<Arc>(capacity); }

}  // namespace moe::ir
