// SPDX-License-Identifier: Apache-2.0
#include "tests/ir/queue_models.h"

#include <algorithm>
#include <map>
#include <vector>

namespace moe::ir::test {
namespace {

enum Where : uint8_t { nowhere, first, second, third, ghost_of_first, ghost_of_second };

struct Record {
  Where where = nowhere;
  uint64_t since = 0;  // when it was put there last
  uint32_t number = 0;
};

class Records : public QueueRule {
 public:
  explicit Records(uint32_t capacity) : capacity_(capacity) {}
  void miss(uint32_t) override {}
  void resize(uint32_t capacity) override { capacity_ = capacity; }
  bool consistent() const override { return true; }

 protected:
  using Pick = std::function<bool(uint32_t)>;
  void put(uint32_t key, Where where) {
    records_[key].where = where;
    records_[key].since = ++clock_;
  }
  Where where(uint32_t key) const { return records_.count(key) != 0 ? records_.at(key).where : nowhere; }
  size_t count(Where where) const {
    return std::count_if(records_.begin(), records_.end(), [&](const auto& r) { return r.second.where == where; });
  }
  std::optional<uint32_t> oldest(Where where, const Pick& pick = [](uint32_t) { return true; }) const {
    std::optional<uint32_t> best;
    for (const auto& [key, record] : records_) {
      if (record.where != where || !pick(key)) continue;
      if (!best || record.since < records_.at(*best).since) best = key;
    }
    return best;
  }

  uint32_t capacity_;
  uint64_t clock_ = 0;
  std::map<uint32_t, Record> records_;
};

// `number` is the visited bit. The hand is a time: it stands at the first member put there then or later.
class SieveModel : public Records {
 public:
  using Records::Records;
  void hit(uint32_t key) override { records_[key].number = 1; }
  void insert(uint32_t key) override {
    put(key, first);
    records_[key].number = 0;
  }
  void leave(uint32_t key, bool) override {
    const uint64_t since = records_[key].since;
    records_[key].where = nowhere;
    if (since == hand_) hand_ = from(since) ? records_[*from(since)].since : 0;
  }
  std::optional<uint32_t> victim(uint32_t, const MayLeave& may_leave) override {
    uint64_t at = hand_;
    for (size_t steps = 0; steps < 2 * count(first) + 2; ++steps) {
      const std::optional<uint32_t> next = from(at);
      at = next ? records_[*next].since + 1 : 0;
      if (!next || !may_leave(*next)) continue;
      if (records_[*next].number == 0) {
        hand_ = records_[*next].since;
        return next;
      }
      records_[*next].number = 0;
    }
    return std::nullopt;
  }

 private:
  std::optional<uint32_t> from(uint64_t time) const {
    return oldest(first, [&](uint32_t key) { return records_.at(key).since >= time; });
  }
  uint64_t hand_ = 0;
};

// first: S, second: M. `number` counts hits.
class S3FifoModel : public Records {
 public:
  using Records::Records;
  void hit(uint32_t key) override {
    if (records_[key].number < 3) ++records_[key].number;
  }
  void insert(uint32_t key) override {
    put(key, where(key) == ghost_of_first ? second : first);
    records_[key].number = 0;
    forget();
  }
  void leave(uint32_t key, bool as_victim) override {
    if (as_victim && where(key) == first) {
      put(key, ghost_of_first);
    } else {
      records_[key].where = nowhere;
    }
  }
  void resize(uint32_t capacity) override {
    capacity_ = capacity;
    forget();
  }
  std::optional<uint32_t> victim(uint32_t, const MayLeave& may_leave) override {
    const bool small_is_full = count(first) >= small();
    for (;;) {
      const auto s = oldest(first, may_leave);
      const auto m = oldest(second, may_leave);
      if (s && (small_is_full || !m)) {
        if (records_[*s].number < 2) return s;
        put(*s, second);
        records_[*s].number = 0;
      } else if (m) {
        if (records_[*m].number == 0) return m;
        put(*m, second);
        --records_[*m].number;
      } else {
        return std::nullopt;
      }
    }
  }

 private:
  uint32_t small() const { return capacity_ < 10 ? 1 : capacity_ / 10; }
  void forget() {
    while (count(ghost_of_first) + small() > capacity_ && oldest(ghost_of_first)) {
      records_[*oldest(ghost_of_first)].where = nowhere;
    }
  }
};

// first: T1, second: T2.
class ArcModel : public Records {
 public:
  using Records::Records;
  void hit(uint32_t key) override { put(key, second); }
  void miss(uint32_t key) override {
    const auto b1 = static_cast<double>(count(ghost_of_first));
    const auto b2 = static_cast<double>(count(ghost_of_second));
    if (where(key) == ghost_of_first) p_ = std::min<double>(capacity_, p_ + (b1 >= b2 ? 1 : b2 / b1));
    if (where(key) == ghost_of_second) p_ = std::max<double>(0, p_ - (b2 >= b1 ? 1 : b1 / b2));
  }
  void insert(uint32_t key) override {
    const Where from = where(key);
    put(key, from == ghost_of_first || from == ghost_of_second ? second : first);
    forget();
  }
  void leave(uint32_t key, bool as_victim) override {
    put(key, !as_victim ? nowhere : where(key) == first ? ghost_of_first : ghost_of_second);
    forget();
  }
  void resize(uint32_t capacity) override {
    capacity_ = capacity;
    p_ = std::min<double>(p_, capacity);
    forget();
  }
  std::optional<uint32_t> victim(uint32_t newcomer, const MayLeave& may_leave) override {
    const auto t1 = oldest(first, may_leave);
    const auto t2 = oldest(second, may_leave);
    const auto size = static_cast<double>(count(first));
    const bool replace_t1 = size >= 1 && ((where(newcomer) == ghost_of_second && size == p_) || size > p_);
    if (!t1 || !t2) return t1 ? t1 : t2;
    return replace_t1 ? t1 : t2;
  }

 private:
  void forget() {
    const auto l1 = [&] { return count(first) + count(ghost_of_first); };
    const auto l2 = [&] { return count(second) + count(ghost_of_second); };
    while (l1() > capacity_ && count(ghost_of_first) > 0) records_[*oldest(ghost_of_first)].where = nowhere;
    while (l1() + l2() > size_t{2} * capacity_ && count(ghost_of_second) > 0) {
      records_[*oldest(ghost_of_second)].where = nowhere;
    }
  }
  double p_ = 0;
};

// first: LIR, second: resident HIR, ghost_of_second: gone. The stack is who was used no earlier than the LIR member
// used longest ago: `used_` has the last use of whom it knows.
class LirsModel : public Records {
 public:
  using Records::Records;
  void hit(uint32_t key) override {
    const bool becomes_lir = where(key) == first || in_stack(key);
    used_[key] = ++clock_;
    put(key, becomes_lir ? first : second);
    settle();
  }
  void insert(uint32_t key) override {
    const bool becomes_lir = in_stack(key) || count(first) < lir();
    used_[key] = ++clock_;
    put(key, becomes_lir ? first : second);
    settle();
  }
  void leave(uint32_t key, bool as_victim) override {
    const bool remembered = as_victim && where(key) == second && in_stack(key);
    put(key, remembered ? ghost_of_second : nowhere);
    if (!remembered) used_.erase(key);
    settle();
  }
  void resize(uint32_t capacity) override {
    capacity_ = capacity;
    settle();
  }
  std::optional<uint32_t> victim(uint32_t, const MayLeave& may_leave) override {
    const auto hir = oldest(second, may_leave);
    return hir ? hir : coldest_lir(may_leave);
  }

 private:
  uint32_t lir() const { return capacity_ - (capacity_ < 200 ? std::min(capacity_, 1U) : capacity_ / 100); }
  std::optional<uint32_t> coldest_lir(const Pick& pick = [](uint32_t) { return true; }) const {
    std::optional<uint32_t> best;
    for (const auto& [key, time] : used_) {
      if (where(key) == first && pick(key) && (!best || time < used_.at(*best))) best = key;
    }
    return best;
  }
  bool in_stack(uint32_t key) const {
    const auto bottom = coldest_lir();
    return bottom && used_.count(key) != 0 && used_.at(key) >= used_.at(*bottom);
  }
  size_t stack_size() const {
    return std::count_if(used_.begin(), used_.end(), [&](const auto& u) { return in_stack(u.first); });
  }
  void settle() {
    prune();
    while (count(first) > lir()) {
      const uint32_t bottom = *coldest_lir();
      used_.erase(bottom);
      put(bottom, second);
      prune();
    }
    while (stack_size() > size_t{2} * capacity_ && count(ghost_of_second) > 0) {
      const uint32_t key = *oldest(ghost_of_second);
      records_[key].where = nowhere;
      used_.erase(key);
    }
  }
  // Who fell out of the stack is not in it again when a LIR member with an older use appears.
  void prune() {
    for (auto& [key, record] : records_) {
      if (in_stack(key)) continue;
      used_.erase(key);
      if (record.where == ghost_of_second) record.where = nowhere;
    }
  }
  std::map<uint32_t, uint64_t> used_;
};

// first: window, second: probation, third: protected. Frequencies are counted anew from the log of accesses; a halving
// is an entry of its own in it.
class WTinyLfuModel : public Records {
 public:
  using Records::Records;
  void hit(uint32_t key) override {
    see(key);
    put(key, where(key) == first ? first : third);
    demote();
  }
  void miss(uint32_t key) override { see(key); }
  void insert(uint32_t key) override {
    put(key, first);
    while (count(first) > window() && count(second) + count(third) < capacity_ - window()) put(*oldest(first), second);
  }
  void leave(uint32_t key, bool) override { put(key, nowhere); }
  void resize(uint32_t capacity) override {
    capacity_ = capacity;
    demote();
  }
  std::optional<uint32_t> victim(uint32_t, const MayLeave& may_leave) override {
    const auto candidate = oldest(first, may_leave);
    const auto probation = oldest(second, may_leave);
    const auto main = probation ? probation : oldest(third, may_leave);
    if (!candidate) return main;
    if (!main) return candidate;
    const bool full = count(first) + count(second) + count(third) <= capacity_;
    const bool window_gives = count(first) + (full ? 1 : 0) > window();
    if (window_gives && frequency(*candidate) <= frequency(*main)) return candidate;
    if (window_gives) put(*candidate, second);
    return main;
  }

 private:
  static constexpr uint32_t kHalving = 0xFFFFFFFF;
  uint32_t window() const { return capacity_ < 200 ? std::min(capacity_, 1U) : capacity_ / 100; }
  uint32_t protected_places() const { return std::max(1U, (capacity_ - window()) * 4 / 5); }
  void see(uint32_t key) {
    log_.push_back(key);
    if (++seen_ < 10 * capacity_) return;
    log_.push_back(kHalving);
    seen_ = 0;
  }
  uint32_t frequency(uint32_t key) const {
    uint32_t n = 0;
    for (uint32_t entry : log_) n = entry == kHalving ? n / 2 : entry == key && n < 15 ? n + 1 : n;
    return n;
  }
  void demote() {
    while (count(third) > protected_places()) put(*oldest(third), second);
  }
  uint32_t seen_ = 0;
  std::vector<uint32_t> log_;
};

}  // namespace

std::unique_ptr<QueueRule> make_model(Eviction rule, uint32_t capacity) {
  if (rule == Eviction::sieve) return std::make_unique<SieveModel>(capacity);
  if (rule == Eviction::s3_fifo) return std::make_unique<S3FifoModel>(capacity);
  if (rule == Eviction::arc) return std::make_unique<ArcModel>(capacity);
  if (rule == Eviction::lirs) return std::make_unique<LirsModel>(capacity);
  return std::make_unique<WTinyLfuModel>(capacity);
}

}  // namespace moe::ir::test
