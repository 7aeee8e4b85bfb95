// SPDX-License-Identifier: Apache-2.0
// Dispatcher, between two dispatches: a new policy takes over, transfers that came to nothing are reported.
#include <algorithm>

#include "runtime/core/dispatcher.h"

namespace moe::core {
namespace {

void delete_all(Instance* first) {
  while (first) delete std::exchange(first, first->next_retired);
}

}  // namespace

Dispatcher::~Dispatcher() {
  delete_all(retired_.load(std::memory_order_acquire));
  delete next_.load(std::memory_order_acquire);
  delete current_;
}

void Dispatcher::swap(std::unique_ptr<Instance> next) {
  delete next_.exchange(next.release(), std::memory_order_acq_rel);
}

void Dispatcher::reclaim() { delete_all(retired_.exchange(nullptr, std::memory_order_acq_rel)); }

/// `preload`: the policy is the first, so what it preloads is resident in its state.
void Dispatcher::load_pins(const Instance& instance, bool preload) {
  const decision::Params& params = instance.params();
  const auto load = [&](uint32_t key) {
    if (resident_[key] != kNone) return;
    choose_source(instance, key, wanted_precision(instance, key));
    load_behind(key);
  };
  for (uint32_t i = 0; preload && i < params.num_preload; ++i) load(params.preload[i]);
  for (uint32_t i = 0; i < params.num_pins; ++i) load(params.pins[i]);
}

/// Requires that a next policy is there: only this thread takes it away.
void Dispatcher::take_swap() {
  Instance* next = next_.exchange(nullptr, std::memory_order_acq_rel);
  const decision::Params& params = next->params();
  const bool first = !current_;
  if (current_) {
    num_left_ = decision::adopt_state(current_->params(), current_->state(), params, next->state(), left_.data());
    for (uint32_t i = 0; i < num_left_; ++i) end_residency(left_[i]);
    while (num_aside_ != 0) end_residency(aside_[--num_aside_]);
    keep_dropped(*next);
    parts_.traffic.swaps.fetch_add(1, std::memory_order_relaxed);
    // Freed by the next attach: this thread frees nothing.
    current_->next_retired = retired_.load(std::memory_order_relaxed);
    while (!retired_.compare_exchange_weak(current_->next_retired, current_, std::memory_order_release,
                                           std::memory_order_relaxed)) {
    }
  } else {
    reconcile(*next);
  }
  current_ = next;
  if (parts_.log) parts_.log->starts(*next, first);
  tiers_are_new_ = true;
  has_tiers_ = parts_.host || parts_.device || next->tiers().converts();
  contents_.forget();
  leave_unwanted_precisions(*next);
  load_pins(*next, first);
  parts_.counters.set_window(params.monitor_window);
  parts_.transfer.set_prefetch_share(params.bandwidth);
  if (parts_.disk) parts_.disk->set_prefetch_share(params.bandwidth);
  parts_.monitor.set_policy(next->policy());
}

/// The first policy may have been replaced before it ever ran: its pins are not the new one's.
void Dispatcher::reconcile(const Instance& instance) {
  for (uint32_t key = 0; key < dims_.num_keys(); ++key) {
    if (resident_[key] != kNone && !instance.resident(key)) end_residency(key);
  }
}

/// Under a policy without a ladder the first tier holds experts in one precision. Those that are there in another
/// leave, and are loaded when they are used: under an exact policy nothing is computed with less than the model's
/// weights.
void Dispatcher::leave_unwanted_precisions(const Instance& instance) {
  if (parts_.precisions.count() == 1) return;
  std::fill(coming_.begin(), coming_.end(), Tag{});
  for (uint32_t key = 0; key < dims_.num_keys(); ++key) {
    const uint32_t layer = key / dims_.shape.num_experts;
    if (resident_[key] == kNone || instance.tiers().has_ladder(layer)) continue;
    const uint32_t precision = parts_.copies.tag(resident_[key]).precision;
    if (precision != instance.tiers().first_precision(layer)) end_residency(key);
  }
}

/// What was dropped under the old policy and was not carried over needs no report; what the new one pins is loaded.
void Dispatcher::keep_dropped(const Instance& instance) {
  const decision::Params& params = instance.params();
  auto forget = [&](uint32_t key) {
    return !instance.resident(key) || std::binary_search(params.pins, params.pins + params.num_pins, key);
  };
  num_dropped_ = static_cast<uint32_t>(std::remove_if(dropped_.begin(), dropped_.begin() + num_dropped_, forget) -
                                       dropped_.begin());
}

void Dispatcher::report_dropped(uint32_t key) {
  if (num_dropped_ < dropped_.size()) dropped_[num_dropped_++] = key;
}

void Dispatcher::collect_dropped() {
  parts_.copies.take_failed([this](uint32_t copy) {
    const uint32_t key = parts_.copies[copy].key;
    if (resident_[key] == copy) report_dropped(key);
  });
  if (num_prefetches_ != 0) cancel_stale();
}

/// Prefetches whose layer has run since they were queued and that have not started give their slot back. The list holds
/// only what is still in the prefetch queue: what started, was promoted or left is forgotten here.
void Dispatcher::cancel_stale() {
  const bool cancel = current_->rules().cancel_stale != 0;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < num_prefetches_; ++i) {
    const Outstanding& one = prefetches_[i];
    if (parts_.copies.state(one.copy) != one.state || parts_.copies.promoted(one.copy)) continue;
    const uint32_t key = parts_.copies[one.copy].key;
    const bool stale = passed_[key / dims_.shape.num_experts] > one.dispatch;
    if (!stale || !cancel) {
      prefetches_[kept++] = one;
    } else if (parts_.copies.cancel(one.copy, one.state)) {
      report_dropped(key);
      ++cancelled_;
    }
  }
  num_prefetches_ = kept;
}

}  // namespace moe::core
