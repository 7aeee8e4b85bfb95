// SPDX-License-Identifier: Apache-2.0
// Dispatcher: copies and slots for what a dispatch misses and prefetches.
//
// A plan that is used in order, with all earlier plans released, must never wait for ever. Slots are the largest
// capacity
// + S. Entry j that has none at the dispatch waits in front of all later loads, so when its turn comes slots are held
// by residents and by later hits that have left the cache. The rule that keeps one slot moving is: residents + such
// hits
// <= slots - 1. It holds by itself for kernels that decide access by access or protect what was selected, because at
// access j all of these were resident together; freq_threshold may let hits leave and give their places away
// (`leaving` > 0), and then place_misses enforces it.
#include <algorithm>

#include "runtime/core/dispatcher.h"

namespace moe::core {

using metrics::Counts;

/// Hits of this plan that left the cache in the same dispatch.
uint32_t Dispatcher::count_leaving(const Plan& plan) const {
  uint32_t leaving = 0;
  for (uint32_t i = 0; plan.num_evicted != 0 && i < plan.num_entries; ++i) leaving += leaves(plan, i);
  return leaving;
}

bool Dispatcher::leaves(const Plan& plan, uint32_t entry) const {
  const uint32_t copy = plan.copies[entry];
  return (copy != kNone) & (resident_[plan.first_key + plan.entries[entry].expert] != copy);
}

/// Without protection, or under pressure, an expert may leave in the dispatch that loads it.
inline bool Dispatcher::is_to_stay(const decision::Output& output, uint32_t entry, uint32_t key) const {
  return output.action[entry] != decision::kStream && (output.num_evicted == 0 || current_->resident(key));
}

/// A slot for a claimed copy, and where its bytes come from; false: it has to wait for a slot.
inline bool Dispatcher::supply(uint32_t copy, Queue queue) {
  const bool starts = parts_.copies.take_slot(copy);
  if (parts_.host || parts_.device) find_source(copy, queue, starts);
  return starts;
}

/// The claimed copy of a miss; false when it has to wait for a slot.
inline bool Dispatcher::place_miss(Plan& plan, uint32_t entry, uint32_t key, uint32_t copy, bool stays) {
  CopyTable& copies = parts_.copies;
  plan.copies[entry] = copy;
  if (stays) set_resident(key, copy);
  moe_plan_entry& out = plan.entries[entry];
  if (out.action == decision::kHit) out.action = MOE_ACTION_LATE;
  if (!supply(copy, Queue::demand)) {
    copies.defer(copy);
    return false;
  }
  out.slot = copies[copy].slot;
  out.data = parts_.plans.slot_data(out.slot);
  return true;
}

void Dispatcher::place_misses(Plan& plan, const decision::Output& output, uint32_t leaving, bool sorted) {
  // Locals, for an atomic store might change any member.
  const uint32_t* const absent = absent_.data();
  const uint32_t* const end = absent + num_absent_;
  const uint32_t* const experts = output.expert;
  const uint8_t* const actions = output.action;
  const uint32_t first_key = plan.first_key;
  CopyTable& copies = parts_.copies;
  uint32_t passed = 0;
  num_loads_ = 0;
  for (const uint32_t* at = absent; at != end; ++at) {
    const uint32_t i = *at;
    if (leaving != 0) {
      for (; passed < i; ++passed) leaving -= leaves(plan, passed);
      passed = i + 1;
    }
    const uint32_t action = actions[i];
    const uint32_t key = first_key + experts[i];
    if (action > decision::kStream) {
      if (is_left_out(action)) continue;
      if (action == decision::kCpu || action == decision::kCpuLoad) {
        place_on_host(plan, i, key);
        continue;
      }
      if (action == decision::kDegrade && place_degraded(plan, i, key)) continue;
    }
    // No room to stay: it passes through, and its next use, a hit for the kernel, loads it again.
    const bool fits = leaving == 0 || num_resident() + num_raising_ + leaving + 1 < dims_.num_slots;
    const bool stays = fits && is_to_stay(output, i, key);
    const uint32_t copy = copies.claim(key, 1 + stays, coming_[key]);
    if (!place_miss(plan, i, key, copy, stays)) continue;
    if (sorted) {
      loads_[num_loads_++] = {copy, i, output.weight[i]};
    } else {
      copies.queue(copy, copies.first_queue(copy));
    }
  }
}

/// For a miss that the host computes.
void Dispatcher::place_on_host(Plan& plan, uint32_t entry, uint32_t key) {
  moe_plan_entry& out = plan.entries[entry];
  if (!parts_.host) {
    out.data = parts_.store.expert(key);
    return;
  }
  const uint32_t copy = parts_.host->hold_for_plan(key);
  plan.host_copies[entry] = copy != kNone ? copy : kMapped;
  out.data = copy != kNone ? parts_.host->data(copy) : parts_.store.mapped(key);
}

/// Of priority routing.
void Dispatcher::queue_loads() {
  std::sort(loads_.begin(), loads_.begin() + num_loads_, [](const Load& a, const Load& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.entry < b.entry;
  });
  for (uint32_t i = 0; i < num_loads_; ++i) {
    parts_.copies.queue(loads_[i].copy, parts_.copies.first_queue(loads_[i].copy));
  }
}

void Dispatcher::load_behind_plan(const Plan& plan, const decision::Output& output) {
  for (uint32_t i = 0; i < output.num_entries; ++i) {
    const uint32_t key = plan.first_key + output.expert[i];
    const bool behind = output.action[i] == decision::kCpuLoad || output.action[i] == decision::kDegrade;
    if (behind && resident_[key] == kNone && current_->resident(key)) load_behind(key);
  }
}

/// A load that no plan waits for: behind all demand, but neither paced nor cancelled.
void Dispatcher::load_behind(uint32_t key) {
  const uint32_t copy = parts_.copies.claim(key, 1, coming_[key]);
  if (copy == kNone) return report_dropped(key);
  set_resident(key, copy);
  if (supply(copy, Queue::background)) {
    parts_.copies.queue(copy, Queue::background);
  } else {
    parts_.copies.defer(copy);
  }
}

/// A copy and a slot for a prefetch, not queued yet: demand goes first. kNone: nothing is free, or it has left again.
uint32_t Dispatcher::reserve(uint32_t key) {
  CopyTable& copies = parts_.copies;
  const bool aside = !current_->resident(key);
  if ((aside && current_->rules().side_buffer == 0) || !copies.has_room(dims_.max_entries() + 1)) return kNone;
  const uint32_t copy = copies.claim(key, 1, coming_[key]);
  if (!supply(copy, Queue::prefetch)) {
    copies.drop(copy);
    return kNone;
  }
  set_resident(key, copy);
  if (aside) aside_[num_aside_++] = key;
  return copy;
}

/// The layer has run: what waited for it beside the cache is in the cache now, or gone. The plan holds what it uses.
void Dispatcher::settle_aside(uint32_t layer) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < num_aside_; ++i) {
    const uint32_t key = aside_[i];
    if (key / dims_.shape.num_experts != layer) {
      aside_[kept++] = key;
    } else if (!current_->resident(key)) {
      end_residency(key);
    }
  }
  num_aside_ = kept;
}

/// With no other plan held there are slots for every resident and S more to stream through: prefetches get theirs
/// before entries that only pass through take them all, so that none is dropped. The rule on top of this file holds
/// here too.
void Dispatcher::reserve_prefetches(const Plan& plan, const decision::Output& output, uint32_t leaving) {
  uint64_t needed = leaving;
  for (uint32_t i = 0; i < output.num_entries; ++i) {
    const uint32_t action = output.action[i];
    const bool load = action == decision::kLoad || action == decision::kCpuLoad || action == decision::kDegrade;
    needed += load && is_to_stay(output, i, plan.first_key + output.expert[i]);
  }
  for (uint32_t i = 0; i < output.num_prefetched; ++i) {
    if (num_resident() + num_raising_ + needed + 1 >= dims_.num_slots) return;
    if (resident_[output.prefetched[i]] == kNone) reserve(output.prefetched[i]);
  }
}

/// A prefetch never waits for a slot: it is dropped, and the kernel hears of it at the next dispatch.
void Dispatcher::place_prefetches(Plan& plan, const decision::Output& output, Counts& counts) {
  CopyTable& copies = parts_.copies;
  uint32_t* pair = plan.prefetched;
  for (uint32_t i = 0; i < output.num_prefetched; ++i) {
    const uint32_t key = output.prefetched[i];
    const uint32_t copy = resident_[key] != kNone ? resident_[key] : reserve(key);
    if (copy == kNone) {
      if (current_->resident(key)) report_dropped(key);
      continue;
    }
    if (copies.phase(copy) != Phase::claimed) continue;
    copies.queue(copy, Queue::prefetch);
    parts_.counters.mark_prefetched(key);
    if (num_prefetches_ < prefetches_.size()) {
      prefetches_[num_prefetches_++] = {copy, copies.queued_state(copy), number_};
    }
    *pair++ = key / dims_.shape.num_experts;
    *pair++ = key % dims_.shape.num_experts;
  }
  plan.num_prefetched = static_cast<uint32_t>(pair - plan.prefetched) / 2;
  counts[metrics::kPrefetched] = plan.num_prefetched;
}

}  // namespace moe::core
