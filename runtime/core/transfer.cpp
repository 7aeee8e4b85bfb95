// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/transfer.h"

#include <algorithm>

namespace moe::core {
namespace {

using Clock = Link::Clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr auto kDoze = microseconds(50);       // while active: the longest that a dispatch's loads go unseen
constexpr uint64_t kLimitedChunk = 256 << 10;  // bytes between two looks at the clock
constexpr uint64_t kChunk = 4 << 20;           // bytes between two looks whether the copy is still wanted

}  // namespace

Transfer::~Transfer() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_seq_cst);
  parts_.waker.wake();
  thread_.join();
}

Result<void> Transfer::start() {
  return start_link_thread(thread_, "transfer", "moe-link", [this] { run(); });
}

void Transfer::run() {
  while (!stopping_.load(std::memory_order_seq_cst)) {
    const uint32_t seen = parts_.waker.epoch();
    if (parts_.copies.any_deferred()) parts_.plans.fill_deferred();
    parts_.copies.collect();
    if (move_next()) continue;
    link_.rest();
    parts_.monitor.look();
    rest(seen);
  }
}

bool Transfer::move_next() {
  for (const Queue queue : {Queue::demand, Queue::background, Queue::prefetch}) {
    if (queue == Queue::prefetch && Clock::now() < link_.prefetch_at()) return false;
    const uint32_t copy = parts_.copies.start(queue);
    if (copy == kNone) continue;
    const auto begin = Clock::now();
    parts_.backend.expect_copy(parts_.copies[copy].slot, parts_.copies[copy].key, queue == Queue::demand);
    carry(copy, queue);
    if (queue == Queue::prefetch) link_.pace_prefetch(begin, prefetch_share_.load(std::memory_order_relaxed));
    return true;
  }
  return false;
}

/// Nothing to do: dozes while a dispatch may come, which will not wake this thread, else sleeps until woken.
void Transfer::rest(uint32_t seen) {
  const auto now = Clock::now();
  std::chrono::nanoseconds limit = kDoze;
  if (!activity_.lasts(seen, now)) {
    const bool pacing = parts_.copies.has_queued(Queue::prefetch);
    if (!pacing && parts_.plans.num_open() == 0) return parts_.waker.sleep(seen);
    limit = kLongDoze;
  }
  const auto prefetch_in = link_.prefetch_at() - now;
  if (prefetch_in.count() > 0) limit = std::min<std::chrono::nanoseconds>(limit, prefetch_in);
  parts_.waker.doze(seen, limit);
}

void Transfer::carry(uint32_t copy, Queue queue) {
  const uint64_t begin = parts_.timeline ? Timeline::now() : 0;
  bool good = false;
  try {
    const Result<void> moved = copy_bytes(copy);
    good = moved.ok();
    if (!good && !unwanted(copy)) report(copy, moved.error());
  } catch (const std::bad_alloc&) {
    // No memory for the message. The load has failed all the same.
  }
  parts_.copies.end_source(copy);
  if (parts_.timeline) {
    parts_.timeline->add(Track::link,
                         {begin, Timeline::now(), parts_.copies[copy].key,
                          static_cast<uint32_t>(queue) | (good ? 0 : kFailed), good ? parts_.store.expert_bytes() : 0});
  }
  if (!parts_.copies.finish(copy, good)) parts_.plans.end_orphan(copy);
}

/// Before the copy is seen to have failed, so that who waits for it finds the reason.
void Transfer::report(uint32_t copy, const Error& error) {
  const uint32_t key = parts_.copies[copy].key;
  parts_.traffic.failed_loads.fetch_add(1, std::memory_order_relaxed);
  parts_.plans.note_failure(error);
  parts_.log(MOE_LOG_ERROR, "loading layer " + std::to_string(key / parts_.num_experts) + " expert " +
                                std::to_string(key % parts_.num_experts) + " failed: " + error.message);
}

/// In host memory. What was read from disk is there, or has failed: else the transfer would not have begun.
Result<const std::byte*> Transfer::source_of(uint32_t id) const {
  if (!parts_.host) return static_cast<const std::byte*>(parts_.store.expert(parts_.copies[id].key));
  const uint32_t source = parts_.copies.source(id);
  if (source == kNone) return Error{Error::Kind::no_memory, "the tables of host memory are full"};
  if (parts_.host->copies().phase(source) != Phase::ready) return parts_.host->failure();
  return parts_.host->data(source);
}

Result<void> Transfer::copy_bytes(uint32_t id) {
  const Result<const std::byte*> from = source_of(id);
  if (!from) return from.error();
  const std::byte* const source = *from;
  const Copy& copy = parts_.copies[id];
  const uint64_t size = parts_.store.expert_bytes();
  const uint64_t chunk = link_.limited() ? kLimitedChunk : kChunk;
  link_.begin();
  for (uint64_t offset = 0; offset < size; offset += chunk) {
    if (unwanted(id)) return Error{Error::Kind::io, "given up: nobody waits for it"};
    const uint64_t bytes = std::min(chunk, size - offset);
    const bool last = offset + bytes == size;
    if (Result<void> started = parts_.backend.start_copy(copy.slot, offset, source + offset, bytes, last); !started) {
      return started;
    }
    parts_.traffic.bytes_moved.fetch_add(bytes, std::memory_order_relaxed);
    if (link_.limited()) wait_for_link(link_.after(bytes));
  }
  if (parts_.backend.has_streams()) parts_.copies.issue(id);
  return parts_.backend.finish_copy(copy.slot);
}

void Transfer::wait_for_link(Clock::time_point until) const {
  constexpr auto kSlice = milliseconds(5);  // so that destroying the runtime does not take as long as a slow link
  for (auto now = Clock::now(); now < until && !stopping_.load(std::memory_order_relaxed); now = Clock::now()) {
    std::this_thread::sleep_for(std::min<Clock::duration>(until - now, kSlice));
  }
}

}  // namespace moe::core
