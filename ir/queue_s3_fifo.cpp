// SPDX-License-Identifier: Apache-2.0
// S3-FIFO: J. Yang, Y. Zhang, Z. Qiu, Y. Yue, K. V. Rashmi, "FIFO queues are all you need for cache eviction", SOSP
// 2023, section 4.1 and Algorithm 1.
//
// A small queue S (10 %) for newcomers, a main queue M, and a ghost queue G of as many keys as M has places. Members
// count their hits up to 3. S's oldest moves to M if it was hit twice or more, else it leaves and G remembers it. M's
// oldest goes round again while it has hits left, one less each time. Who returns while G remembers it enters M.
#include <fmt/format.h>

#include <map>

#include "ir/queue_rules.h"

namespace moe::ir {
namespace {

constexpr uint32_t kMaxHits = 3;     // two bits
constexpr uint32_t kHitsToStay = 2;  // "t.freq > 1"

/// Invariants  small_, main_ and ghost_ share no key. hits_ has an entry, 0..3, for each member and no other key.
///             After an insertion ghost_ has at most as many keys as M has places.
class S3Fifo : public QueueRule {
 public:
  explicit S3Fifo(uint32_t capacity) { set_capacity(capacity); }

  void hit(uint32_t key) override {
    uint32_t& hits = hits_[key];
    hits = std::min(hits + 1, kMaxHits);
  }

  // The ghost stays until the key really enters: it may not be admitted.
  void miss(uint32_t) override {}

  std::optional<uint32_t> victim(uint32_t, const MayLeave& may_leave) override {
    // The paper's EVICT. What runs dry (or is protected) hands over to the other queue.
    std::optional<uint32_t> found;
    if (small_.size() >= small_capacity_) found = victim_in_small(may_leave);
    if (!found) found = victim_in_main(may_leave);
    if (!found) found = victim_in_small(may_leave);
    // Everybody that could leave S may have moved to M.
    if (!found) found = victim_in_main(may_leave);
    return found;
  }

  void insert(uint32_t key) override {
    hits_[key] = 0;
    if (erase(ghost_, key)) {
      main_.push_back(key);
    } else {
      small_.push_back(key);
    }
    // Only now: the newcomer's own ghost must not be pushed out by the victim that makes place for it.
    trim_ghost();
  }

  void leave(uint32_t key, bool as_victim) override {
    hits_.erase(key);
    if (erase(small_, key)) {
      if (as_victim) ghost_.push_back(key);
    } else {
      erase(main_, key);
    }
  }

  void resize(uint32_t capacity) override {
    set_capacity(capacity);
    trim_ghost();
  }

  std::vector<Member> members() const override {
    std::vector<Member> all;
    for (const uint32_t key : small_) all.push_back({key, "small", fmt::format("hits {}", hits_.at(key))});
    for (const uint32_t key : main_) all.push_back({key, "main", fmt::format("hits {}", hits_.at(key))});
    return all;
  }

  std::string standing() const override {
    return fmt::format("the small queue has {}, its share is {}", small_.size(), small_capacity_);
  }

  bool consistent() const override {
    return disjoint(small_, main_, ghost_) && hits_.size() == small_.size() + main_.size() &&
           std::all_of(hits_.begin(), hits_.end(), [this](const auto& entry) {
             return entry.second <= kMaxHits && (contains(small_, entry.first) || contains(main_, entry.first));
           });
  }

 private:
  void set_capacity(uint32_t capacity) {
    small_capacity_ = share_of(capacity, 10);
    ghost_capacity_ = capacity - std::min(capacity, small_capacity_);
  }

  void trim_ghost() {
    while (ghost_.size() > ghost_capacity_) ghost_.pop_front();
  }

  // EVICTS.
  std::optional<uint32_t> victim_in_small(const MayLeave& may_leave) {
    for (auto place = small_.begin(); place != small_.end();) {
      const auto oldest = place++;
      if (!may_leave(*oldest)) continue;
      if (hits_[*oldest] < kHitsToStay) return *oldest;
      hits_[*oldest] = 0;
      main_.splice(main_.end(), small_, oldest);
    }
    return std::nullopt;
  }

  // EVICTM. Ends: who goes round has a hit less the next time.
  std::optional<uint32_t> victim_in_main(const MayLeave& may_leave) {
    for (auto place = main_.begin(); place != main_.end();) {
      const auto oldest = place++;
      if (!may_leave(*oldest)) continue;
      if (hits_[*oldest] == 0) return *oldest;
      --hits_[*oldest];
      main_.splice(main_.end(), main_, oldest);
      if (place == main_.end()) place = oldest;  // the only one left that may leave
    }
    return std::nullopt;
  }

  uint32_t small_capacity_ = 1;
  uint32_t ghost_capacity_ = 0;
  KeyList small_;
  KeyList main_;
  KeyList ghost_;
  std::map<uint32_t, uint32_t> hits_;
};

}  // namespace

std::unique_ptr<QueueRule> make_s3_fifo(uint32_t capacity) { return std::make_unique<S3Fifo>(capacity); }

}  // namespace moe::ir
