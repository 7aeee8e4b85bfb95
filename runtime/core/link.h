// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>

namespace moe::core {

/// The link's clock: how fast copies may go, and when the next prefetch may begin. The transfer thread only.
class Link {
 public:
  using Clock = std::chrono::steady_clock;

  /// 0: as fast as the machine copies.
  explicit Link(uint64_t bytes_per_s) : bytes_per_s_(bytes_per_s) {}

  bool limited() const { return bytes_per_s_ != 0; }

  /// There is nothing to carry.
  void rest() { rested_ = true; }
  /// A copy begins now. The schedule goes on from its last end, unless the link rested: who was woken late from the
  /// copy before does not lose that time. What is later than a wake-up can be is lost.
  void begin() {
    const auto now = Clock::now();
    free_at_ = std::max(free_at_, rested_ ? now : now - kLatest);
    rested_ = false;
  }
  /// When `bytes` more will have crossed the link: absolute, so that late wake-ups do not add up.
  Clock::time_point after(uint64_t bytes) {
    const double seconds = static_cast<double>(bytes) / static_cast<double>(bytes_per_s_);
    free_at_ += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    return free_at_;
  }

  /// A prefetch ran from `begin` until now and is to take only `share`, (0, 1], of the link's time.
  void pace_prefetch(Clock::time_point begin, double share) {
    const std::chrono::duration<double> took = Clock::now() - begin;
    prefetch_at_ = begin + std::chrono::duration_cast<Clock::duration>(took / share);
  }
  Clock::time_point prefetch_at() const { return prefetch_at_; }

 private:
  static constexpr auto kLatest = std::chrono::milliseconds(1);

  const uint64_t bytes_per_s_;
  bool rested_ = true;
  Clock::time_point free_at_{};
  Clock::time_point prefetch_at_{};
};

}  // namespace moe::core
