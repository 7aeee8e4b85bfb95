// SPDX-License-Identifier: Apache-2.0
#include "runtime/hints.h"

#include <algorithm>
#include <numeric>

#include "runtime/last_error.h"

namespace moe {

Hints::Hints(const moe_model_shape& shape, const Allocator& allocator)
    : num_layers_(shape.num_layers),
      num_experts_(shape.num_experts),
      allocator_(allocator),
      boxes_(shape.num_layers),
      order_(shape.num_experts),
      seen_((size_t{shape.num_experts} + 63) / 64),
      marked_(allocator, shape.num_layers, false),
      current_(allocator, shape.num_layers),
      fresh_(allocator, shape.num_layers) {}

moe_status Hints::check(const int32_t* ids, const float* probabilities, uint32_t n) {
  std::fill(seen_.begin(), seen_.end(), 0);
  for (uint32_t i = 0; i < n; ++i) {
    const auto id = static_cast<uint32_t>(ids[i]);  // a negative one becomes large
    if (id >= num_experts_) return fail(MOE_INVALID, "ids[%u] is %d, not in 0..%u", i, ids[i], num_experts_ - 1);
    if (!(probabilities[i] >= 0 && probabilities[i] <= 1)) {
      return fail(MOE_INVALID, "probabilities[%u] is %g, not in [0, 1]", i, static_cast<double>(probabilities[i]));
    }
    const uint64_t bit = uint64_t{1} << (id % 64);
    if (seen_[id / 64] & bit) return fail(MOE_INVALID, "ids[%u] is %u a second time", i, id);
    seen_[id / 64] |= bit;
  }
  return MOE_OK;
}

moe_status Hints::post(uint32_t layer, const int32_t* ids, const float* probabilities, uint32_t n) {
  if (layer >= num_layers_) return fail(MOE_INVALID, "layer %u is not below %u", layer, num_layers_);
  if (n > num_experts_) return fail(MOE_INVALID, "a hint of %u experts; a layer has %u", n, num_experts_);
  if (n != 0 && (!ids || !probabilities)) return fail(MOE_INVALID, "`ids` or `probabilities` is NULL");
  const std::lock_guard lock(writers_);
  if (const moe_status status = check(ids, probabilities, n)) return status;

  std::iota(order_.begin(), order_.begin() + n, 0u);
  std::sort(order_.begin(), order_.begin() + n, [probabilities](uint32_t a, uint32_t b) {
    return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
  });
  if (!boxes_[layer]) boxes_[layer] = std::make_unique<Mailbox>(allocator_, num_experts_);
  Mailbox& box = *boxes_[layer];
  for (uint32_t i = 0; i < n; ++i) {
    box.ids[box.back * num_experts_ + i] = static_cast<uint32_t>(ids[order_[i]]);
    box.probabilities[box.back * num_experts_ + i] = probabilities[order_[i]];
  }
  box.counts[box.back] = n;
  box.back = box.middle.exchange(box.back | kFresh, std::memory_order_acq_rel) & ~kFresh;
  marked_.set(layer);
  posted_.fetch_add(1, std::memory_order_release);
  return MOE_OK;
}

const decision::Hint* Hints::take() {
  const uint32_t posted = posted_.load(std::memory_order_acquire);
  if (posted != taken_) {
    taken_ = posted;
    marked_.for_each([this](uint32_t layer) {
      marked_.clear(layer);  // before looking: a hint that comes in between marks its layer again
      Mailbox& box = *boxes_[layer];
      if (!(box.middle.load(std::memory_order_relaxed) & kFresh)) return;  // taken before it was marked
      box.front = box.middle.exchange(box.front, std::memory_order_acq_rel) & ~kFresh;
      current_[layer] = {&box.ids[box.front * num_experts_], &box.probabilities[box.front * num_experts_],
                         box.counts[box.front], 0};
      mark_fresh(layer, true);
    });
  }
  return current_.data();
}

}  // namespace moe
