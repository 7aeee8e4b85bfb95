// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/waker.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

namespace moe::core {
namespace {

uint32_t* futex_word(std::atomic<uint32_t>& word) {
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t) && std::atomic<uint32_t>::is_always_lock_free);
  return reinterpret_cast<uint32_t*>(&word);
}

}  // namespace

void Waker::end_sleep() {
  if (sleeping_.exchange(kAwake, std::memory_order_acq_rel) == kAwake) return;
  ::syscall(SYS_futex, futex_word(sleeping_), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

// Changes the flag, then looks at the epoch; wake and nudge change it, too, when the epoch has changed. So at least one
// of the two sees the other, and no wake-up is lost.
void Waker::sleep_until_woken(uint32_t seen, uint32_t depth, int64_t limit_ns) {
  seen_.store(seen, std::memory_order_relaxed);
  sleeping_.exchange(depth, std::memory_order_acq_rel);
  if (epoch() == seen) {
    timespec limit{};
    limit.tv_sec = static_cast<time_t>(limit_ns / 1'000'000'000);
    limit.tv_nsec = static_cast<long>(limit_ns % 1'000'000'000);
    ::syscall(SYS_futex, futex_word(sleeping_), FUTEX_WAIT_PRIVATE, depth, limit_ns < 0 ? nullptr : &limit, nullptr, 0);
  }
  sleeping_.store(kAwake, std::memory_order_release);
}

}  // namespace moe::core
