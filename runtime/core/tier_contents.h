// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>

#include "runtime/core/device_tiers.h"
#include "runtime/core/host_memory.h"
#include "runtime/core/tier_table.h"

namespace moe::core {

/// Which tiers below the first hold which experts, as the decisions say, and the carrying out of it. The dispatching
/// thread's.
class TierContents {
 public:
  /// `host`, `device`: null where there are no such tiers to carry out.
  TierContents(const moe_model_shape& shape, HostMemory* host, DeviceTiers* device, const Allocator& allocator);

  /// Bit i: the i-th tier of the expert's layer, the first not counted.
  uint64_t of(uint32_t key) const { return tiers_[key]; }

  /// What a dispatch moved, in its order.
  void apply(const TierTable& table, const decision::Output& output);
  /// A policy has taken over: its tiers hold nothing yet, and adopt is to come.
  void forget() { std::fill(tiers_.begin(), tiers_.end(), 0); }
  /// After the first dispatch of a policy: what its state says the tiers hold, whatever they held before.
  void adopt(const TierTable& table, const decision::Params& params, void* state);

 private:
  void change(const TierTable& table, uint32_t key, uint64_t tiers);
  template <class Tiers>
  void follow(Tiers* tiers, uint32_t key, uint64_t before, uint64_t now) const;

  const moe_model_shape shape_;
  HostMemory* const host_;
  DeviceTiers* const device_;
  Array<uint64_t> tiers_;      ///< by key
  Array<uint64_t> on_host_;    ///< by key: the precisions that are held, one bit each
  Array<uint64_t> on_device_;  ///< likewise
  Array<uint64_t> adopted_;    ///< for adopt
};

}  // namespace moe::core
