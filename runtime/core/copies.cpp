// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/copies.h"

namespace moe::core {
namespace {

constexpr uint32_t kGenerationStep = 1u << 8;

}  // namespace

CopyTable::CopyTable(uint32_t num_copies, uint32_t num_slots, const Allocator& allocator)
    : num_slots_(num_slots),
      copies_(allocator, num_copies),
      free_copies_(allocator, num_copies, true),
      free_slots_(allocator, num_slots, true),
      demand_(allocator, num_copies, false),
      background_(allocator, num_copies, false),
      prefetch_(allocator, num_copies, false),
      deferred_(allocator, num_copies, false),
      failed_(allocator, num_copies, false),
      num_free_(num_copies) {}

uint32_t CopyTable::claim(uint32_t key, uint32_t holders) {
  const uint32_t id = free_copies_.claim();
  if (id == kNone) return kNone;
  num_free_.fetch_sub(1, std::memory_order_relaxed);
  Copy& copy = copies_[id];
  copy.key = key;
  copy.slot = kNone;
  copy.holders.store(holders, std::memory_order_relaxed);
  // Only its claimer moves a free copy on, so load and store do.
  const uint32_t generation = copy.state.load(std::memory_order_relaxed) + kGenerationStep;
  copy.state.store(with_phase(generation, Phase::claimed), std::memory_order_relaxed);
  return id;
}

bool CopyTable::take_slot(uint32_t id) {
  // Those that wait were first, and only fill_deferred keeps their order.
  if (any_deferred()) return false;
  copies_[id].slot = free_slots_.claim();
  return copies_[id].slot != kNone;
}

void CopyTable::queue(uint32_t id, Queue queue) {
  Copy& copy = copies_[id];
  copy.order.store(next_order_.fetch_add(1, std::memory_order_relaxed), std::memory_order_relaxed);
  const uint32_t state = with_phase(copy.state.load(std::memory_order_relaxed), Phase::queued);
  copy.state.store(state, std::memory_order_release);
  queue_of(queue).set(id);
}

void CopyTable::defer(uint32_t id) {
  Copy& copy = copies_[id];
  copy.order.store(next_order_.fetch_add(1, std::memory_order_relaxed), std::memory_order_relaxed);
  num_deferred_.fetch_add(1, std::memory_order_relaxed);
  const uint32_t state = with_phase(copy.state.load(std::memory_order_relaxed), Phase::deferred);
  copy.state.store(state, std::memory_order_release);
  deferred_.set(id);
}

bool CopyTable::move(uint32_t id, uint32_t& state, Phase to) {
  return copies_[id].state.compare_exchange_strong(state, with_phase(state, to), std::memory_order_seq_cst,
                                                   std::memory_order_acquire);
}

void CopyTable::drop(uint32_t id) {
  Copy& copy = copies_[id];
  if (copy.holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
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
  if (last == Phase::queued) leave_queues(id);
  if (last == Phase::failed) failed_.clear(id);
  if (copy.slot != kNone) free_slots_.set(copy.slot);
  const uint32_t state = copy.state.load(std::memory_order_relaxed);
  copy.state.store(with_phase(state, Phase::free), std::memory_order_release);
  free_copies_.set(id);
  num_free_.fetch_add(1, std::memory_order_release);
}

void CopyTable::promote(uint32_t id) {
  if (phase(id) != Phase::queued || demand_.test(id)) return;
  demand_.set(id);
  // The transfer thread may have taken it in between and cleared the bit before it was set. It clears no bit of a copy
  // that it did not take, so this thread does.
  if (phase(id) == Phase::queued) {
    background_.clear(id);
    prefetch_.clear(id);
  } else {
    demand_.clear(id);
  }
}

bool CopyTable::cancel(uint32_t id, uint32_t state) {
  if (!move(id, state, Phase::cancelled)) return false;
  leave_queues(id);
  return true;
}

void CopyTable::retry(uint32_t id) {
  failed_.clear(id);
  queue(id, Queue::demand);
}

uint32_t CopyTable::first_of(const AtomicBitset& queue, Phase wanted) const {
  uint32_t first = kNone;
  uint64_t first_order = UINT64_MAX;
  queue.for_each([&](uint32_t id) {
    if (phase(id) != wanted) return;
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
    const uint32_t id = first_of(deferred_, Phase::deferred);
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
    copy.order.store(next_order_.fetch_add(1, std::memory_order_relaxed), std::memory_order_relaxed);
    demand_.set(id);  // before the phase: once queued, the copy may be gone at any moment
    state = with_phase(state, Phase::filling);
    if (move(id, state, Phase::queued)) {
      any = true;
    } else {
      demand_.clear(id);
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

bool CopyTable::start(uint32_t id) {
  uint32_t state = copies_[id].state.load(std::memory_order_acquire);
  if (phase_of(state) != Phase::queued || !move(id, state, Phase::moving)) return false;
  leave_queues(id);
  return true;
}

void CopyTable::leave_queues(uint32_t id) {
  demand_.clear(id);
  background_.clear(id);
  prefetch_.clear(id);
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
  uint32_t count = 0;
  demand_.for_each([&](uint32_t) { ++count; });
  background_.for_each([&](uint32_t) { ++count; });
  prefetch_.for_each([&](uint32_t) { ++count; });
  return count;
}

}  // namespace moe::core
