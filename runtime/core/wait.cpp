// SPDX-License-Identifier: Apache-2.0
// Plans::wait: when an entry may be read.
#include <chrono>

#include "runtime/core/plans.h"
#include "runtime/last_error.h"

namespace moe::core {
namespace {

// A copy that is nearly done is not worth two system calls; anything longer is not worth a core.
constexpr int kSpins = 64;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

bool is_there(Phase phase, bool issued_is_enough) {
  return phase == Phase::ready || phase == Phase::failed || (issued_is_enough && phase == Phase::issued);
}

}  // namespace

/// Finds the entry's copy, gives it a slot if it has none yet, and holds it, so that it outlives even a release that
/// races with the wait. `copy` becomes kNone when there is nothing to wait for.
moe_status Plans::hold_entry(uint64_t id, uint32_t index, bool streamed, uint32_t& copy, bool& settled) {
  for (;;) {
    uint32_t drained;
    bool draining;
    bool filled = false;
    {
      const std::lock_guard lock(lock_);
      Plan* plan = find(id);
      if (const moe_status status = check_entry(plan, index)) return status;
      if (!place(*plan, index)) {
        filled = copies_.fill_deferred();
        place(*plan, index);
      }
      copy = plan->copies[index];
      settled = plan->settled;
      if (copy == kNone) return MOE_OK;  // computed on the host
      if (plan->entries[index].slot != MOE_NO_SLOT) {
        if (!streamed && copies_.phase(copy) == Phase::ready) {
          copy = kNone;
        } else {
          copies_.borrow(copy);
        }
        return MOE_OK;
      }
      drained = drained_.load(std::memory_order_seq_cst);
      draining = copies_.any_orphan();
    }
    if (filled) waker_.wake();
    if (!draining) {
      return fail(MOE_WOULD_DEADLOCK, "entry %u needs a slot, and all are held by entries that are not done", index);
    }
    // Some copy is under way that nobody wants any more: its slot comes back without the engine's doing.
    drained_.wait(drained, std::memory_order_seq_cst);
  }
}

/// Waits for a copy that the caller holds. Returns what it saw: the next dispatch may retry a failed one.
Phase Plans::wait_for(const CopyTable& table, uint32_t copy, bool issued_is_enough) {
  const Phase now = table.phase(copy);
  return is_there(now, issued_is_enough) ? now : sleep_until_there(table, copy, issued_is_enough);
}

Phase Plans::sleep_until_there(const CopyTable& table, uint32_t copy, bool issued_is_enough) {
  const uint64_t begin = Timeline::now();
  waker_.wake();
  Phase phase;
  for (int spin = 0;; ++spin) {
    const uint32_t state = table.state(copy);
    phase = CopyTable::phase_of(state);
    if (is_there(phase, issued_is_enough)) break;
    if (spin < kSpins) {
      relax();
    } else {
      table[copy].state.wait(state, std::memory_order_acquire);
    }
  }
  const uint64_t end = Timeline::now();
  traffic_.stall_ns.fetch_add(end - begin, std::memory_order_relaxed);
  if (timeline_) timeline_->add(Track::waits, {begin, end, table[copy].key, 0, 0});
  return phase;
}

moe_status Plans::failure(uint32_t copy) {
  const std::lock_guard lock(lock_);
  const moe_status status = last_failure_.kind == Error::Kind::device ? MOE_DEVICE : MOE_IO;
  return fail(status, "expert key %u could not be loaded: %s", copies_[copy].key, last_failure_.message.c_str());
}

/// overlap = false: everything that the plan has in flight arrives before its first entry is used. What fails is
/// reported by the wait for it; what has no slot cannot arrive yet.
void Plans::settle(uint64_t id) {
  for (uint32_t i = 0;; ++i) {
    uint32_t copy;
    {
      const std::lock_guard lock(lock_);
      Plan* plan = find(id);
      if (!plan) return;
      if (i == plan->num_entries) {
        plan->settled = true;
        return;
      }
      copy = plan->copies[i];
      if (copy == kNone || plan->done[i] || plan->entries[i].slot == MOE_NO_SLOT) continue;
      copies_.borrow(copy);
    }
    wait_for(copies_, copy, false);
    copies_.drop(copy);
  }
}

/// An entry that is computed on the host while experts are read from disk.
moe_status Plans::wait_on_host(uint64_t id, uint32_t index) {
  uint32_t copy;
  uint32_t key;
  {
    const std::lock_guard lock(lock_);
    Plan* plan = find(id);
    if (const moe_status status = check_entry(plan, index)) return status;
    copy = plan->host_copies[index];
    key = plan->first_key + plan->entries[index].expert;
    if (copy < kMapped) host_->copies().borrow(copy);
  }
  if (copy == kNone) return MOE_OK;
  if (copy == kMapped) {
    const Result<void> good = host_->store().verify_mapped(key);
    return good ? MOE_OK : fail(MOE_IO, "%s", good.error().message.c_str());
  }
  const Phase phase = wait_for(host_->copies(), copy, false);
  host_->copies().drop(copy);
  return phase == Phase::failed ? fail(MOE_IO, "%s", host_->failure().message.c_str()) : MOE_OK;
}

moe_status Plans::wait(uint64_t id, uint32_t index, void* stream) {
  if (const moe_status status = check_stream(stream)) return status;
  waker_.prompt();
  uint32_t copy;
  bool settled;
  if (const moe_status status = hold_entry(id, index, stream != nullptr, copy, settled)) return status;
  if (!settled) settle(id);
  if (copy == kNone) return host_ ? wait_on_host(id, index) : MOE_OK;
  moe_status status = MOE_OK;
  if (wait_for(copies_, copy, stream != nullptr) == Phase::failed) {
    status = failure(copy);
  } else if (stream) {
    if (Result<void> queued = backend_.stream_wait(copies_[copy].slot, stream); !queued) status = fail(queued.error());
  }
  copies_.drop(copy);
  return status;
}

}  // namespace moe::core
