// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <utility>

#include "runtime/core/copies.h"

namespace moe::core {

/// Which copies of a table the policy's tiers hold, by key and precision, and those that a dispatch needs whatever the
/// tiers decide in it. The dispatching thread's.
class Residents {
 public:
  Residents(CopyTable& copies, size_t num_precisions, size_t num_keys, const Allocator& allocator)
      : copies_(copies),
        num_keys_(num_keys),
        resident_(allocator, num_precisions * num_keys),
        kept_(allocator, resident_.size()),
        kept_places_(allocator, resident_.size()) {
    std::fill(resident_.begin(), resident_.end(), kNone);
    std::fill(kept_.begin(), kept_.end(), kNone);
  }

  /// Of a key's copy in a precision: as a store numbers its extents.
  size_t place(uint32_t key, uint32_t precision) const { return precision * num_keys_ + key; }
  /// kNone: no tier holds it.
  uint32_t& at(uint32_t key, uint32_t precision) const { return resident_[place(key, precision)]; }
  /// The one that keep holds, else kNone.
  uint32_t kept(uint32_t key, uint32_t precision) const { return kept_[place(key, precision)]; }
  uint32_t kept_or_resident(uint32_t key, uint32_t precision) const {
    const uint32_t copy = kept(key, precision);
    return copy != kNone ? copy : at(key, precision);
  }

  /// Its copy, if a tier holds it, stays until drop_kept.
  void keep(uint32_t key, uint32_t precision) {
    const size_t place_of = place(key, precision);
    if (resident_[place_of] == kNone || kept_[place_of] != kNone) return;
    copies_.hold(resident_[place_of]);
    kept_[place_of] = resident_[place_of];
    kept_places_[num_kept_++] = place_of;
  }
  void drop_kept() {
    while (num_kept_ != 0) copies_.drop(std::exchange(kept_[kept_places_[--num_kept_]], kNone));
  }
  /// No tier holds it any more.
  void leave(uint32_t key, uint32_t precision) {
    const uint32_t copy = std::exchange(at(key, precision), kNone);
    if (copy != kNone) copies_.evict(copy);
  }

 private:
  CopyTable& copies_;
  const size_t num_keys_;
  Array<uint32_t> resident_;  ///< place -> copy; kNone: none
  Array<uint32_t> kept_;      ///< place -> copy held by keep; kNone: none
  Array<uint64_t> kept_places_;
  uint32_t num_kept_ = 0;
};

}  // namespace moe::core
