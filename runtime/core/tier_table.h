// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "runtime/core/precisions.h"

namespace moe::core {

/// Where an expert comes from when it is loaded, and in which precision.
struct LoadSource {
  uint32_t precision = Precisions::kNative;
  bool on_device = false;  ///< from a GPU tier below the first
};

/// What a policy's tiers are to an engine: where each is, and which of the store's precisions it holds experts in.
/// Made by attach, then read only.
class TierTable {
 public:
  struct Level {
    decision::TierLocation location;
    uint32_t precision;
    bool is_lower_copy;
    bool holds_all;
  };

  /// Of a policy without tiers.
  TierTable() = default;
  /// Errors: unsupported (the store lacks a precision that the policy names), format.
  static Result<TierTable> make(const decision::Params& params, const Precisions& precisions);

  /// The layer's tiers, the first one first; empty: it has none.
  std::span<const Level> levels(uint32_t layer) const {
    const uint32_t set = set_of(layer);
    return set == decision::kNone ? std::span<const Level>() : std::span(levels_).subspan(begin_[set], size_[set]);
  }
  bool has_ladder(uint32_t layer) const {
    const uint32_t set = set_of(layer);
    return set != decision::kNone && ladder_[set] != 0;
  }
  /// Requires a dtype of some tier or rung.
  uint32_t precision_of(decision::Dtype dtype) const { return by_dtype_[static_cast<uint32_t>(dtype)]; }
  /// In which the layer's first tier holds experts where no ladder says otherwise.
  uint32_t first_precision(uint32_t layer) const {
    const std::span<const Level> all = levels(layer);
    return all.empty() ? Precisions::kNative : all[0].precision;
  }

  /// Where a load comes from that is to be in precision `wanted`, when `tiers` (bit i: the layer's tier i) have the
  /// expert: from the fastest of them, unless that has it for `degrade` only; from disk through the first host tier. In
  /// the lower of both precisions.
  LoadSource source_of(uint32_t layer, uint64_t tiers, uint32_t wanted) const;

  /// The precisions, one bit each, in which those of `tiers` hold an expert that are at `location`, the first not among
  /// them.
  uint64_t held_at(decision::TierLocation location, uint32_t layer, uint64_t tiers) const;

  /// The precisions that the policy uses anywhere, one bit each.
  uint64_t used() const { return used_; }
  /// Whether some expert may be held, somewhere, in another precision than the model's.
  bool converts() const { return used_ != uint64_t{1} << Precisions::kNative; }
  /// Experts that tiers at `location` below the first hold, most, of at most `num_keys` in each precision.
  uint64_t slots_at(decision::TierLocation location, uint32_t num_keys) const;
  /// Bytes of the largest expert that is held there, or, of the host, that passes through on its way from disk.
  uint64_t widest_at(decision::TierLocation location) const {
    return location == decision::TierLocation::host ? widest_on_host_ : widest_on_device_;
  }

 private:
  explicit TierTable(const Precisions& precisions);
  uint32_t set_of(uint32_t layer) const { return set_of_layer_.empty() ? decision::kNone : set_of_layer_[layer]; }
  Result<uint32_t> find(decision::Dtype dtype, const Precisions& precisions);
  Result<void> add(const decision::TierSet& set, const Precisions& precisions);
  void measure(const decision::TierSet& set, uint32_t number);
  void widen(uint64_t& widest, uint32_t precision) const { widest = std::max(widest, bytes_[precision]); }
  bool is_lower(uint32_t a, uint32_t b) const { return bytes_[a] < bytes_[b]; }

  std::vector<uint64_t> bytes_;  ///< of an expert, by precision
  std::vector<uint32_t> set_of_layer_;
  std::vector<Level> levels_;
  std::vector<uint32_t> begin_, size_, ladder_, direct_;  ///< of the sets
  std::array<uint32_t, decision::kNumDtypes> by_dtype_{};
  uint64_t used_ = uint64_t{1} << Precisions::kNative;
  std::array<std::array<uint64_t, Precisions::kMost>, 2> slots_{};  ///< [gpu, host][precision]
  uint64_t widest_on_host_ = 0;
  uint64_t widest_on_device_ = 0;
};

}  // namespace moe::core
