// SPDX-License-Identifier: Apache-2.0
// How the transfer thread learns of work although moe_dispatch makes no system call:
// docs/decisions/0003-dispatch-makes-no-system-call.md.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>

namespace moe::core {

/// The transfer thread dozes for a moment at a time while the runtime is in use, and sleeps when it is not. announce()
/// is found by a dozing thread; who must not wait for that, or may find it asleep, wakes it.
class alignas(64) Waker {  // a line of its own: every dispatch writes it
 public:
  /// `below`: of the thread that this one's work waits for; it hears of everything, too. Before any other call.
  void chain(Waker* below) { below_ = below; }

  /// There may be work; `queued`: there is. The dispatching thread: a store or two, all that moe_dispatch does.
  void announce(bool queued) {
    announced_.store(announced_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    if (queued) pending_.store(true, std::memory_order_release);
    if (below_) below_->announce(queued);
  }
  /// Ends a doze or a sleep if something is queued that nobody has said since: every wait does this, so that the link
  /// does not idle until the doze is over. A load, and once for each dispatch that queued something as wake().
  void prompt() {
    if (pending_.load(std::memory_order_relaxed) && pending_.exchange(false, std::memory_order_acq_rel)) wake();
  }

  /// Ends a doze or a sleep now: the caller is about to wait for a transfer. At most one system call for each thread.
  void wake() {
    wake_alone();
    if (below_) below_->wake();
  }
  /// The same without those below.
  void wake_alone() {
    woken_.fetch_add(1, std::memory_order_release);
    if (look() != kAwake) end_sleep();
  }
  /// Ends a sleep, not a doze, if something was announced: done and release do this.
  void nudge() {
    if (look() == kAsleep && epoch() != seen_.load(std::memory_order_relaxed)) end_sleep();
    if (below_) below_->nudge();
  }

  /// Changes with every announcement and every wake-up.
  uint32_t epoch() const { return announced_.load(std::memory_order_acquire) + woken_.load(std::memory_order_acquire); }

  /// The transfer thread: returns at once if anything was announced since `seen`, else after `limit` or a wake-up.
  void doze(uint32_t seen, std::chrono::nanoseconds limit) { sleep_until_woken(seen, kDozing, limit.count()); }
  void sleep(uint32_t seen) { sleep_until_woken(seen, kAsleep, -1); }

 private:
  static constexpr uint32_t kAwake = 0, kDozing = 1, kAsleep = 2;

  /// How deep the thread sleeps, which is sure to see all that this thread has announced if it lies down later: both
  /// sides change the flag, and one of two changes comes after the other and sees what was before it.
  uint32_t look() { return sleeping_.fetch_or(0, std::memory_order_acq_rel); }
  void end_sleep();
  void sleep_until_woken(uint32_t seen, uint32_t depth, int64_t limit_ns);

  std::atomic<uint32_t> announced_{0};
  std::atomic<bool> pending_{false};
  Waker* below_ = nullptr;
  alignas(64) std::atomic<uint32_t> woken_{0};
  std::atomic<uint32_t> seen_{0};
  std::atomic<uint32_t> sleeping_{kAwake};  ///< the futex
};

}  // namespace moe::core
