// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/tier_contents.h"

#include <bit>

#include "runtime/decision/state.h"

namespace moe::core {

using decision::TierLocation;

TierContents::TierContents(const moe_model_shape& shape, HostMemory* host, DeviceTiers* device,
                           const Allocator& allocator)
    : shape_(shape),
      host_(host),
      device_(device),
      tiers_(allocator, size_t{shape.num_layers} * shape.num_experts),
      on_host_(allocator, host ? tiers_.size() : 0),
      on_device_(allocator, device ? tiers_.size() : 0),
      adopted_(allocator, tiers_.size()) {}

void TierContents::apply(const TierTable& table, const decision::Output& output) {
  for (uint32_t i = 0; i < output.num_moves; ++i) {
    const decision::TierMove& move = output.moves[i];
    const uint64_t bit = uint64_t{1} << move.to;
    change(table, move.key, move.from == move.to ? tiers_[move.key] & ~bit : tiers_[move.key] | bit);
  }
}

/// Those that leave go first: their slots are for those that come.
void TierContents::adopt(const TierTable& table, const decision::Params& params, void* state) {
  for (uint32_t key = 0; key < tiers_.size(); ++key) {
    const uint32_t layer = key / shape_.num_experts;
    const std::span<const TierTable::Level> levels = table.levels(layer);
    uint64_t tiers = 0;
    for (uint32_t tier = 1; tier < levels.size(); ++tier) {
      if (decision::tier_holds(params, state, tier, key)) tiers |= uint64_t{1} << tier;
    }
    adopted_[key] = tiers;
    const auto shrink = [&](auto* holder, Array<uint64_t>& held, TierLocation location) {
      if (!holder) return;
      const uint64_t kept = held[key] & table.held_at(location, layer, tiers);
      follow(holder, key, std::exchange(held[key], kept), kept);
    };
    shrink(host_, on_host_, TierLocation::host);
    shrink(device_, on_device_, TierLocation::gpu);
  }
  for (uint32_t key = 0; key < tiers_.size(); ++key) change(table, key, adopted_[key]);
}

void TierContents::change(const TierTable& table, uint32_t key, uint64_t tiers) {
  const uint32_t layer = key / shape_.num_experts;
  tiers_[key] = tiers;
  if (host_) {
    const uint64_t now = table.held_at(TierLocation::host, layer, tiers);
    follow(host_, key, std::exchange(on_host_[key], now), now);
  }
  if (device_) {
    const uint64_t now = table.held_at(TierLocation::gpu, layer, tiers);
    follow(device_, key, std::exchange(on_device_[key], now), now);
  }
}

template <class Tiers>
void TierContents::follow(Tiers* tiers, uint32_t key, uint64_t before, uint64_t now) const {
  const auto for_each = [](uint64_t bits, auto use) {
    for (; bits != 0; bits &= bits - 1) use(static_cast<uint32_t>(std::countr_zero(bits)));
  };
  for_each(before & ~now, [&](uint32_t precision) { tiers->leave(key, precision); });
  for_each(now & ~before, [&](uint32_t precision) { tiers->enter(key, precision); });
}

}  // namespace moe::core
