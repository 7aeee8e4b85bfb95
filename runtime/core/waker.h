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
class Waker {
 public:
  /// There may be work. One atomic operation: all that moe_dispatch does.
  void announce() { epoch_.fetch_add(1, std::memory_order_seq_cst); }

  /// Ends a doze or a sleep now: the caller is about to wait for a transfer. At most one system call.
  void wake() {
    announce();
    if (sleeping_.load(std::memory_order_seq_cst) != kAwake) end_sleep();
  }
  /// Ends a sleep, not a doze, if something was announced: every wait, done and release does this.
  void nudge() {
    if (sleeping_.load(std::memory_order_seq_cst) == kAsleep && epoch() != seen_.load(std::memory_order_relaxed)) {
      end_sleep();
    }
  }

  /// Changes with every announcement.
  uint32_t epoch() const { return epoch_.load(std::memory_order_seq_cst); }

  /// The transfer thread: returns at once if anything was announced since `seen`, else after `limit` or a wake-up.
  void doze(uint32_t seen, std::chrono::nanoseconds limit) { sleep_until_woken(seen, kDozing, limit.count()); }
  void sleep(uint32_t seen) { sleep_until_woken(seen, kAsleep, -1); }

 private:
  static constexpr uint32_t kAwake = 0, kDozing = 1, kAsleep = 2;

  void end_sleep();
  void sleep_until_woken(uint32_t seen, uint32_t depth, int64_t limit_ns);

  std::atomic<uint32_t> epoch_{0};
  std::atomic<uint32_t> seen_{0};
  std::atomic<uint32_t> sleeping_{kAwake};  ///< the futex
};

}  // namespace moe::core
