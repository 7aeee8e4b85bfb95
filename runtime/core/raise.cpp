// SPDX-License-Identifier: Apache-2.0
// Dispatcher: residents that the ladder puts on a higher rung. The copy in the old precision is used until the other
// one is there; then that takes its place. One that finds no slot waits for the next dispatch.
#include "runtime/core/dispatcher.h"

namespace moe::core {

void Dispatcher::raise(const decision::Output& output) {
  const TierTable& table = current_->tiers();
  for (uint32_t i = 0; i < output.num_copies; ++i) {
    const decision::CopyChoice& choice = output.copies[i];
    if (choice.raised == 0 || resident_[choice.key] == kNone) continue;
    end_raise(choice.key);
    const uint32_t wanted = table.precision_of(static_cast<decision::Dtype>(choice.dtype));
    const uint32_t layer = choice.key / dims_.shape.num_experts;
    const uint32_t precision = table.source_of(layer, contents_.of(choice.key), wanted).precision;
    if (!parts_.precisions.is_lower(parts_.copies.tag(resident_[choice.key]).precision, precision)) continue;
    Raise& one = raises_[num_raises_++];
    one = {choice.key, precision, kNone};
    start_raise(choice.key, precision, one.copy);
  }
}

/// The rule on top of place.cpp holds: what is raised has two slots for a while.
bool Dispatcher::start_raise(uint32_t key, uint32_t precision, uint32_t& copy) {
  CopyTable& copies = parts_.copies;
  if (num_resident() + num_raising_ + 1 >= dims_.num_slots || !copies.has_room(dims_.max_entries() + 1)) return false;
  const uint32_t higher = copies.claim(key, 1, {static_cast<uint8_t>(precision), false});
  if (!copies.take_slot(higher)) {
    copies.drop(higher);
    return false;
  }
  if (parts_.host) find_source(higher, Queue::background, /*starts=*/true);
  copies.queue(higher, Queue::background);
  copy = higher;
  ++num_raising_;
  return true;
}

void Dispatcher::settle_raises() {
  CopyTable& copies = parts_.copies;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < num_raises_; ++i) {
    Raise one = raises_[i];
    if (one.copy == kNone) start_raise(one.key, one.precision, one.copy);
    const Phase phase = one.copy == kNone ? Phase::queued : copies.phase(one.copy);
    if (phase != Phase::ready && phase != Phase::failed) {
      raises_[kept++] = one;
      continue;
    }
    --num_raising_;
    if (phase == Phase::ready) {
      copies.evict(std::exchange(resident_[one.key], one.copy));
    } else {
      copies.drop(one.copy);  // it was reported when it failed; the old one serves on
    }
  }
  num_raises_ = kept;
}

/// The key leaves, or is raised anew.
void Dispatcher::end_raise(uint32_t key) {
  for (uint32_t i = 0; i < num_raises_; ++i) {
    if (raises_[i].key != key) continue;
    if (raises_[i].copy != kNone) {
      parts_.copies.drop(raises_[i].copy);
      --num_raising_;
    }
    raises_[i] = raises_[--num_raises_];
    return;
  }
}

}  // namespace moe::core
