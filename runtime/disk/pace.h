// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>

#include "runtime/disk/request.h"

namespace moe::disk {

/// The link's clock: how fast chunks may follow each other, and when prefetches may go on.
///
/// A limited link carries one chunk after the other on an absolute schedule, so that late wake-ups do not add up.
/// Prefetches with a share < 1 go in bursts of at most one chunk's bytes: one that took t keeps the next away for
/// t / share from its begin.
///
/// Threads  none: the reader's owner.
class Pace {
 public:
  /// `bytes_per_s` 0: not limited.
  Pace(uint64_t bytes_per_s, uint64_t burst_bytes) : bytes_per_s_(bytes_per_s), most_burst_bytes_(burst_bytes) {}

  bool limited() const { return bytes_per_s_ != 0; }
  bool link_free(Clock::time_point now) const { return !limited() || now >= free_at_; }
  Clock::time_point free_at() const { return free_at_; }
  /// There was nothing to carry: the schedule goes on from the next start.
  void idle() { idle_ = true; }
  /// A chunk starts. When it has crossed the link, which is not before the disk has answered.
  Clock::time_point start(Clock::time_point now, uint64_t bytes) {
    if (!limited()) return now;
    free_at_ = std::max(free_at_, idle_ ? now : now - kMostLate);
    idle_ = false;
    const std::chrono::duration<double> takes(static_cast<double>(bytes) / static_cast<double>(bytes_per_s_));
    free_at_ += std::chrono::duration_cast<Clock::duration>(takes);
    return free_at_;
  }

  bool may_prefetch(Clock::time_point now, uint64_t bytes, double share) const {
    if (share >= 1) return true;
    return prefetches_ == 0 ? now >= prefetch_at_ : burst_bytes_ + bytes <= most_burst_bytes_;
  }
  Clock::time_point prefetch_at() const { return prefetches_ == 0 ? prefetch_at_ : kNever; }
  void prefetch_started(Clock::time_point now, uint64_t bytes) {
    if (prefetches_++ == 0) {
      burst_began_ = now;
      burst_bytes_ = 0;
    }
    burst_bytes_ += bytes;
  }
  void prefetch_ended(Clock::time_point now, double share) {
    if (--prefetches_ != 0) return;
    const std::chrono::duration<double> took = now - burst_began_;
    prefetch_at_ = burst_began_ + std::chrono::duration_cast<Clock::duration>(took / share);
  }

 private:
  /// How much a schedule catches up of what a wake-up was late; more, and the disk is slower than the limit.
  static constexpr Clock::duration kMostLate = std::chrono::milliseconds(2);

  const uint64_t bytes_per_s_;
  const uint64_t most_burst_bytes_;
  bool idle_ = true;
  Clock::time_point free_at_{};
  Clock::time_point prefetch_at_{};
  Clock::time_point burst_began_{};
  uint64_t burst_bytes_ = 0;
  uint32_t prefetches_ = 0;  ///< chunks under way
};

}  // namespace moe::disk
