// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/plans.h"

#include <algorithm>

#include "runtime/last_error.h"

namespace moe::core {
namespace {

// An id is runtime << 48 | generation << 16 | index + 1.
constexpr uint32_t kIndexBits = 16;
constexpr uint32_t kRuntimeShift = 48;

uint64_t next_runtime_tag() {
  static std::atomic<uint64_t> runtimes{0};
  return (runtimes.fetch_add(1, std::memory_order_relaxed) + 1) << kRuntimeShift;
}

}  // namespace

PlanMemory::PlanMemory(const PlanSizes& sizes, const Allocator& allocator)
    : entries(allocator, sizes.entries),
      copies(allocator, sizes.entries),
      host_copies(allocator, sizes.entries),
      done(allocator, sizes.entries),
      selections(allocator, sizes.selections, Uninitialized()),
      evicted(allocator, 2 * sizes.evicted, Uninitialized()),
      prefetched(allocator, 2 * sizes.prefetched, Uninitialized()) {
  std::fill(host_copies.begin(), host_copies.end(), kNone);
}

Plan::Plan(uint32_t plan_index, const PlanSizes& sizes, const Allocator& allocator)
    : memory(sizes, allocator),
      index(plan_index),
      entries(memory.entries.data()),
      copies(memory.copies.data()),
      selections(memory.selections.data()),
      evicted(memory.evicted.data()),
      prefetched(memory.prefetched.data()),
      host_copies(memory.host_copies.data()),
      done(memory.done.data()) {}

Plans::Plans(uint32_t max_plans, const PlanSizes& sizes, const Parts& parts, const Allocator& allocator)
    : copies_(parts.copies),
      host_(parts.host),
      backend_(parts.backend),
      waker_(parts.waker),
      traffic_(parts.traffic),
      timeline_(parts.timeline),
      tag_(next_runtime_tag()),
      has_streams_(backend_.has_streams()),
      free_plans_(allocator, max_plans) {
  plans_.reserve(max_plans);
  for (uint32_t i = 0; i < max_plans; ++i) plans_.push_back(std::make_unique<Plan>(i, sizes, allocator));
}

Plan* Plans::claim() {
  const uint32_t index = free_plans_.take();
  return index == FreeList::kNone ? nullptr : plans_[index].get();
}

void Plans::unclaim(Plan& plan) { free_plans_.put(plan.index); }

void Plans::publish(Plan& plan) {
  opened_.store(opened_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  const uint64_t generation = ++plan.generation;
  plan.id.store(tag_ | generation << kIndexBits | (plan.index + 1), std::memory_order_release);
}

Plan* Plans::find(uint64_t id) {
  const uint64_t index = (id & ((1u << kIndexBits) - 1)) - 1;  // 0 becomes larger than any
  if (index >= plans_.size()) return nullptr;
  Plan* plan = plans_[index].get();
  return plan->id.load(std::memory_order_acquire) == id ? plan : nullptr;
}

moe_status Plans::check_stream(void* stream) const {
  if (!stream || has_streams_) return MOE_OK;
  return fail(MOE_INVALID, "`stream` must be NULL: this backend has no streams");
}

moe_status Plans::check_entry(const Plan* plan, uint32_t index) const {
  if (!plan) return fail(MOE_INVALID, "no such plan: it was released, or is another runtime's");
  if (index >= plan->num_entries) {
    return fail(MOE_INVALID, "entry %u of a plan that has %u", index, plan->num_entries);
  }
  if (plan->done[index]) return fail(MOE_INVALID, "entry %u was done already", index);
  return MOE_OK;
}

/// Tells the engine where a copy is that got its slot after the dispatch.
bool Plans::place(Plan& plan, uint32_t index) {
  const uint32_t copy = plan.copies[index];
  moe_plan_entry& entry = plan.entries[index];
  if (copy == kNone || entry.slot != MOE_NO_SLOT) return true;
  if (!CopyTable::has_slot(copies_.phase(copy))) return false;
  entry.slot = copies_[copy].slot;
  entry.data = slot_data(entry.slot);
  return true;
}

moe_status Plans::let_go(Plan& plan, uint32_t index, void* stream) {
  const uint32_t copy = plan.copies[index];
  moe_status status = MOE_OK;
  plan.done[index] = 1;
  const uint32_t on_host = std::exchange(plan.host_copies[index], kNone);
  if (on_host < kMapped) host_->drop_for_plan(on_host);
  if (copy == kNone) return status;
  if (has_streams_ && plan.entries[index].slot != MOE_NO_SLOT) {
    if (Result<void> noted = backend_.last_use(plan.entries[index].slot, stream); !noted) status = fail(noted.error());
  }
  copies_.drop(copy);
  return status;
}

moe_status Plans::done(uint64_t id, uint32_t index, void* stream) {
  if (const moe_status status = check_stream(stream)) return status;
  moe_status status;
  bool filled;
  {
    const std::lock_guard lock(lock_);
    Plan* plan = find(id);
    if ((status = check_entry(plan, index))) return status;
    status = let_go(*plan, index, stream);
    filled = copies_.fill_deferred();
  }
  filled ? waker_.wake() : waker_.nudge();
  return status;
}

moe_status Plans::release(uint64_t id, void* stream) {
  if (const moe_status status = check_stream(stream)) return status;
  moe_status status = MOE_OK;
  bool filled;
  {
    const std::lock_guard lock(lock_);
    Plan* plan = find(id);
    if (!plan) return fail(MOE_INVALID, "no such plan: it was released already, or is another runtime's");
    for (uint32_t i = 0; i < plan->num_entries; ++i) {
      const moe_status one = plan->done[i] ? MOE_OK : let_go(*plan, i, stream);
      if (one) status = one;
      plan->done[i] = 0;
    }
    plan->id.store(0, std::memory_order_relaxed);
    closed_.store(closed_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    free_plans_.give_back(plan->index);
    filled = copies_.fill_deferred();
  }
  filled ? waker_.wake() : waker_.nudge();
  return status;
}

void Plans::fill_deferred() {
  const std::lock_guard lock(lock_);
  copies_.fill_deferred();
}

void Plans::end_orphan(uint32_t copy) {
  {
    const std::lock_guard lock(lock_);
    copies_.end_orphan(copy);
    copies_.fill_deferred();
  }
  drained_.fetch_add(1, std::memory_order_seq_cst);
  drained_.notify_all();
}

void Plans::note_failure(Error error) {
  const std::lock_guard lock(lock_);
  last_failure_ = std::move(error);
}

}  // namespace moe::core
