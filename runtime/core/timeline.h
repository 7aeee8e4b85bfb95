// SPDX-License-Identifier: Apache-2.0
// What the links and layers did when, for chrome://tracing and https://ui.perfetto.dev.
#pragma once
#include <array>
#include <cstdint>
#include <mutex>
#include <string>

#include "moe/moe.h"
#include "runtime/base/memory.h"
#include "runtime/base/result.h"
#include "runtime/core/record_ring.h"

namespace moe::core {

/// Who writes an event: a ring for each, so that nobody waits for anybody.
enum class Track : uint32_t {
  dispatches,  ///< the dispatching thread
  link,        ///< the transfer thread: bytes into the fast tier
  disk,        ///< the disk thread: bytes into host memory
  waits,       ///< whatever thread waits
};
inline constexpr uint32_t kNumTracks = 4;

/// An interval. `key`: whose, of a dispatch the layer's first. `amount`: bytes, of a dispatch the transfers that it
/// queued.
struct TimelineEvent {
  uint64_t begin_ns;
  uint64_t end_ns;
  uint32_t key;
  uint32_t
      kind;  ///< of a transfer a Queue, and kFailed; of a dispatch how many stale prefetches it took from the queue
  uint64_t amount;
};
inline constexpr uint32_t kFailed = 1u << 8;

/// The newest events in rings of fixed size.
///
/// Cost     add: some stores; a lock for waits, which have slept. What is recorded needs the clock twice.
/// Threads  add: one at a time for each track, any for waits. write, json: any.
class Timeline {
 public:
  /// Throws std::bad_alloc.
  Timeline(uint64_t bytes, const moe_model_shape& shape, const Allocator& allocator);

  /// Nanoseconds of the clock that all events go by.
  static uint64_t now();

  void add(Track track, const TimelineEvent& event);

  /// The Trace Event Format: an object with traceEvents, a process for the links with a row each, and one for the
  /// layers with a row each. https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
  std::string json() const;
  /// Errors: io.
  Result<void> write(const std::string& path) const;

 private:
  const moe_model_shape shape_;
  std::array<RecordRing, kNumTracks> rings_;
  std::mutex waits_;
};

}  // namespace moe::core
