// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/copies.h"

#include <algorithm>

namespace moe::core {

CopyTable::CopyTable(uint32_t num_copies, uint32_t num_slots, const Allocator& allocator, CopyTable* below,
                     CopyTable* beside)
    : num_slots_(num_slots),
      below_(below),
      beside_(beside),
      copies_(allocator, size_t{num_copies} + 1),
      tags_(allocator, num_copies),
      free_slots_(allocator, num_slots, true),
      deferred_(allocator, num_copies, false),
      failed_(allocator, num_copies, false),
      queues_(num_copies, allocator),
      free_copies_(allocator, num_copies),
      spare_slots_(allocator, num_slots) {
  copies_[num_copies].slot = kNone;
  show(num_copies, Phase::ready);
}

bool CopyTable::end_dispatch() {
  while (num_spare_slots_ != 0) free_slots_.set(spare_slots_[--num_spare_slots_]);
  return queues_.publish();
}

void CopyTable::defer(uint32_t id) {
  copies_[id].order.store(num_deferrals_.fetch_add(1, std::memory_order_relaxed), std::memory_order_relaxed);
  num_deferred_.fetch_add(1, std::memory_order_relaxed);
  show(id, Phase::deferred);
  deferred_.set(id);
}

bool CopyTable::move(uint32_t id, uint32_t& state, Phase to) {
  return copies_[id].state.compare_exchange_strong(state, with_phase(state, to), std::memory_order_seq_cst,
                                                   std::memory_order_acquire);
}

void CopyTable::drop(uint32_t id) {
  Copy& copy = copies_[id];
  const uint32_t given_up = copy.given_up.fetch_add(1, std::memory_order_acq_rel) + 1;
  if (given_up != copy.holds.load(std::memory_order_relaxed)) return;
  uint32_t state = copy.state.load(std::memory_order_acquire);
  for (;;) {
    const Phase phase = phase_of(state);
    const bool at_work = phase == Phase::filling || phase == Phase::moving || phase == Phase::issued;
    if (!move(id, state, at_work ? Phase::orphan : Phase::claimed)) continue;
    if (!at_work) recycle(id, phase);
    return;
  }
}

// The order matters: the bits go before the slot, and both before the copy is free for the next claim.
void CopyTable::recycle(uint32_t id, Phase last) {
  Copy& copy = copies_[id];
  if (last == Phase::deferred) {
    deferred_.clear(id);
    num_deferred_.fetch_sub(1, std::memory_order_release);
  }
  if (last == Phase::failed) failed_.clear(id);
  end_source(id);
  if (copy.slot != kNone) free_slots_.set(copy.slot);
  const uint32_t state = copy.state.load(std::memory_order_relaxed);
  copy.state.store(with_phase(state, Phase::free), std::memory_order_release);
  free_copies_.give_back(id);
}

void CopyTable::promote(uint32_t id) {
  if (phase(id) != Phase::queued || tags_[id].promoted) return;
  tags_[id].promoted = true;
  queues_.add(Queue::demand, {id, queued_state(id)});
}

bool CopyTable::cancel(uint32_t id, uint32_t state) { return move(id, state, Phase::cancelled); }

void CopyTable::retry(uint32_t id) {
  failed_.clear(id);
  tags_[id].promoted = true;  // if it was queued before, as a prefetch
  queue(id, Queue::demand);
}

uint32_t CopyTable::first_deferred() const {
  uint32_t first = kNone;
  uint64_t first_order = UINT64_MAX;
  deferred_.for_each([&](uint32_t id) {
    if (phase(id) != Phase::deferred) return;
    const uint64_t order = copies_[id].order.load(std::memory_order_relaxed);
    if (order < first_order) {
      first = id;
      first_order = order;
    }
  });
  return first;
}

bool CopyTable::fill_deferred() {
  bool any = false;
  while (any_deferred()) {
    const uint32_t id = first_deferred();
    if (id == kNone) break;  // the dispatching thread is just adding it
    const uint32_t slot = free_slots_.claim();
    if (slot == kNone) break;
    Copy& copy = copies_[id];
    uint32_t state = copy.state.load(std::memory_order_acquire);
    if (phase_of(state) != Phase::deferred || !move(id, state, Phase::filling)) {
      free_slots_.set(slot);
      continue;
    }
    deferred_.clear(id);
    num_deferred_.fetch_sub(1, std::memory_order_release);
    copy.slot = slot;
    const uint32_t from = source(id);
    if (from != kNone && sources_of(id).phase(from) == Phase::claimed) sources_of(id).defer(from);
    state = with_phase(state, Phase::filling);
    if (move(id, state, Phase::queued)) {
      // It may be gone by now: then this says nothing.
      queues_.add_late(first_queue(id), id);
      any = true;
    } else {
      recycle(id, Phase::orphan);
    }
  }
  return any;
}

bool CopyTable::any_orphan() const {
  for (const Copy& copy : copies_) {
    if (phase_of(copy.state.load(std::memory_order_acquire)) == Phase::orphan) return true;
  }
  return false;
}

void CopyTable::end_orphan(uint32_t id) {
  recycle(id, Phase::orphan);
  copies_[id].state.notify_all();
}

void CopyTable::collect() {
  const auto queued = [this](uint32_t id) {
    const uint32_t now = state(id);
    return phase_of(now) == Phase::queued ? now : 0;
  };
  queues_.collect(queued, [this](Waiting waiting) { return is_queued(waiting); });
}

bool CopyTable::has_queued(Queue queue) {
  return queues_.first(queue, [this](Waiting waiting) { return is_queued(waiting); }).copy != kNone;
}

uint32_t CopyTable::start(Queue queue) {
  return queues_.take(queue, [this](Waiting waiting) {
    if (!is_queued(waiting)) return Take::gone;
    if (!is_supplied(waiting.copy)) return Take::later;
    return move(waiting.copy, waiting.state, Phase::moving) ? Take::taken : Take::gone;
  });
}

bool CopyTable::is_supplied(uint32_t id) const {
  const uint32_t from = source(id);
  if (from == kNone) return true;
  const Phase now = sources_of(id).phase(from);
  return now == Phase::ready || now == Phase::failed;
}

void CopyTable::end_source(uint32_t id) {
  const uint32_t from = copies_[id].source.exchange(kNone, std::memory_order_relaxed);
  if (from != kNone) sources_of(id).drop(from);
}

void CopyTable::issue(uint32_t id) {
  uint32_t state = copies_[id].state.load(std::memory_order_acquire);
  if (phase_of(state) == Phase::moving && move(id, state, Phase::issued)) copies_[id].state.notify_all();
}

bool CopyTable::finish(uint32_t id, bool good) {
  uint32_t state = copies_[id].state.load(std::memory_order_acquire);
  if (!good) failed_.set(id);  // before the phase: afterwards the copy may be gone at any moment
  while (phase_of(state) != Phase::orphan) {
    if (!move(id, state, good ? Phase::ready : Phase::failed)) continue;
    if (!good) failures_.fetch_add(1, std::memory_order_release);
    copies_[id].state.notify_all();
    return true;
  }
  failed_.clear(id);
  return false;
}

uint32_t CopyTable::num_queued() const {
  return static_cast<uint32_t>(std::count_if(copies_.begin(), copies_.end(), [](const Copy& copy) {
    return phase_of(copy.state.load(std::memory_order_relaxed)) == Phase::queued;
  }));
}

}  // namespace moe::core
