// SPDX-License-Identifier: Apache-2.0
// One layer's residents in order of last use, for the models of systems that keep a plain LRU under their prediction.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace moe::oracle {

/// A use is stamped with the number of uses that the layer has seen; of equal stamps the earlier arrival is older.
class Recency {
 public:
  explicit Recency(uint32_t slots) : slots_(slots) {}

  bool has(uint32_t expert) const { return find(expert) != entries_.end(); }
  bool full() const { return entries_.size() >= slots_; }
  /// Counts a use, whether the expert is there or not; returns its number.
  uint64_t count(uint32_t expert) {
    ++uses_;
    const auto entry =
        std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.expert == expert; });
    if (entry != entries_.end()) entry->stamp = uses_;
    return uses_;
  }
  /// The oldest of whom `may_leave(expert)` holds leaves.
  template <typename Predicate>
  std::optional<uint32_t> evict(Predicate may_leave) {
    auto oldest = entries_.end();
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (!may_leave(entry->expert)) continue;
      if (oldest == entries_.end() || entry->stamp < oldest->stamp) oldest = entry;
    }
    if (oldest == entries_.end()) return std::nullopt;
    const uint32_t expert = oldest->expert;
    entries_.erase(oldest);
    return expert;
  }
  void add(uint32_t expert, uint64_t stamp) { entries_.push_back({expert, stamp}); }
  /// An expert that nobody has used yet counts as the youngest.
  void add_ahead(uint32_t expert) { add(expert, uses_); }

 private:
  struct Entry {
    uint32_t expert;
    uint64_t stamp;
  };
  std::vector<Entry>::const_iterator find(uint32_t expert) const {
    return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.expert == expert; });
  }

  uint32_t slots_;
  uint64_t uses_ = 0;
  std::vector<Entry> entries_;  ///< in order of arrival
};

}  // namespace moe::oracle
