// SPDX-License-Identifier: Apache-2.0
// Hints from the engine's threads to the dispatching one, without ever making that wait.
#pragma once
#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "moe/moe.h"
#include "runtime/base/atomic_bitset.h"
#include "runtime/decision/abi.h"

namespace moe {

/// One mailbox per layer: a triple buffer, so that writer and reader each own one and the third lies between them.
///
/// Memory   nothing for a layer that was never hinted; then 24 bytes per expert.
/// Threads  post: any, one after the other. take and use_up: the dispatching thread.
class Hints {
 public:
  Hints(const moe_model_shape& shape, const Allocator& allocator);

  /// Replaces the layer's hint with the one given, sorted: highest probability first, ties as given. Errors: INVALID.
  moe_status post(uint32_t layer, const int32_t* ids, const float* probabilities, uint32_t n);

  /// Takes in what was posted since; [num_layers], valid until the next take.
  const decision::Hint* take();
  /// The layer's dispatch has run.
  void use_up(uint32_t layer) { current_[layer].count = 0; }

  /// For the decision log: layers whose hint was taken since the last forget_fresh(). The dispatching thread.
  template <class Use>
  void for_each_fresh(Use use) const {
    for (uint32_t layer = 0; any_fresh_ && layer < num_layers_; ++layer) {
      if (fresh_[layer]) use(layer, current_[layer]);
    }
  }
  /// All that is known now is told anew.
  void mark_all_fresh() {
    for (uint32_t layer = 0; layer < num_layers_; ++layer) mark_fresh(layer, current_[layer].count != 0);
  }
  void forget_fresh() {
    if (any_fresh_) std::fill(fresh_.begin(), fresh_.end(), uint8_t{0});
    any_fresh_ = false;
  }

 private:
  static constexpr uint32_t kFresh = 4;

  struct Mailbox {
    Mailbox(const Allocator& allocator, uint32_t num_experts)
        : ids(allocator, size_t{3} * num_experts), probabilities(allocator, size_t{3} * num_experts) {}
    Array<uint32_t> ids;  ///< [3][num_experts]
    Array<float> probabilities;
    uint32_t counts[3] = {};
    uint32_t back = 0;                ///< the writer's
    uint32_t front = 1;               ///< the reader's
    std::atomic<uint32_t> middle{2};  ///< the one that changes hands, with kFresh if the writer had it last
  };

  void mark_fresh(uint32_t layer, bool is_fresh) {
    if (!is_fresh) return;
    fresh_[layer] = 1;
    any_fresh_ = true;
  }
  moe_status check(const int32_t* ids, const float* probabilities, uint32_t n);

  const uint32_t num_layers_;
  const uint32_t num_experts_;
  const Allocator allocator_;
  std::mutex writers_;
  std::vector<std::unique_ptr<Mailbox>> boxes_;  ///< [num_layers]; made by writers, read for layers in `marked_`
  std::vector<uint32_t> order_;                  ///< the writer's scratch, [num_experts]
  std::vector<uint64_t> seen_;                   ///< the writer's scratch: which ids the hint has
  AtomicBitset marked_;                          ///< layers that may have something to take
  std::atomic<uint32_t> posted_{0};
  uint32_t taken_ = 0;             ///< the value of posted_ that take() has dealt with
  Array<decision::Hint> current_;  ///< the reader's
  Array<uint8_t> fresh_;           ///< likewise, by layer
  bool any_fresh_ = false;         ///< likewise
};

}  // namespace moe
