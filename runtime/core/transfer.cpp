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
constexpr uint64_t kChunk = 4 << 20;           // bytes between two looks at who else waits

/// Whether a copy of `other` may pass one of `mine` that is on its way.
bool passes(Queue other, Queue mine) {
  if (other == Queue::decode) return mine != Queue::decode;
  return other == Queue::demand && (mine == Queue::background || mine == Queue::prefetch);
}

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
    if (parts_.device && parts_.device->copies().any_deferred()) parts_.device->copies().fill_deferred();
    collect();
    if (move_next()) continue;
    link_.rest();
    parts_.monitor.look();
    rest(seen);
  }
}

bool Transfer::move_next() {
  for (const Queue queue : {Queue::decode, Queue::demand, Queue::background, Queue::prefetch}) {
    if (queue == Queue::prefetch && Clock::now() < link_.prefetch_at()) return false;
    const auto begin = Clock::now();
    passed_ = {};
    if (!carry_next(queue)) continue;
    if (queue == Queue::prefetch) link_.pace_prefetch(begin + passed_, prefetch_share_.load(std::memory_order_relaxed));
    return true;
  }
  return false;
}

void Transfer::collect() {
  parts_.copies.collect();
  if (parts_.device) parts_.device->copies().collect();
}

bool Transfer::carry_next(Queue queue) {
  return carry_first(parts_.copies, queue) || (parts_.device && carry_first(parts_.device->copies(), queue));
}

bool Transfer::carry_first(CopyTable& table, Queue queue) {
  const uint32_t copy = table.start(queue);
  if (copy == kNone) return false;
  carry({table, copy, queue});
  return true;
}

/// Between two pieces of a copy: whoever is more urgent.
void Transfer::let_pass(Queue mine) {
  const auto begin = Clock::now();
  collect();
  for (const Queue other : {Queue::decode, Queue::demand}) {
    while (passes(other, mine) && carry_next(other)) {
    }
  }
  if (mine == Queue::prefetch) passed_ += Clock::now() - begin;
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

void Transfer::carry(Job job) {
  const uint64_t begin = parts_.timeline ? Timeline::now() : 0;
  if (!is_beside(job)) {
    const bool urgent = job.queue == Queue::demand || job.queue == Queue::decode;
    parts_.backend.expect_copy(job.table[job.copy].slot, job.table[job.copy].key, urgent);
  }
  bool good = false;
  try {
    const Result<void> moved = move(job);
    good = moved.ok();
    if (!good && !unwanted(job)) report(job, moved.error());
  } catch (const std::bad_alloc&) {
    // No memory for the message. The load has failed all the same.
  }
  job.table.end_source(job.copy);
  if (parts_.timeline) {
    const uint32_t kind = static_cast<uint32_t>(job.queue) | (good ? 0 : kFailed);
    parts_.timeline->add(Track::link, {begin, Timeline::now(), job.table[job.copy].key, kind, good ? job.bytes : 0});
  }
  if (job.table.finish(job.copy, good)) return;
  is_beside(job) ? job.table.end_orphan(job.copy) : parts_.plans.end_orphan(job.copy);
}

/// Before the copy is seen to have failed, so that who waits for it finds the reason.
void Transfer::report(const Job& job, const Error& error) {
  const uint32_t key = job.table[job.copy].key;
  parts_.traffic.failed_loads.fetch_add(1, std::memory_order_relaxed);
  parts_.plans.note_failure(error);
  parts_.log(MOE_LOG_ERROR, "loading layer " + std::to_string(key / parts_.num_experts) + " expert " +
                                std::to_string(key % parts_.num_experts) + " failed: " + error.message);
}

/// In host memory, or, of a copy from beside, on the device. What was read from disk is there, or has failed: else the
/// transfer would not have begun.
Result<const std::byte*> Transfer::source_of(const Job& job) const {
  const Tag tag = job.table.tag(job.copy);
  const uint32_t source = job.table.source(job.copy);
  if (tag.from_beside && source != kNone) {
    if (parts_.device->copies().phase(source) == Phase::ready) return parts_.device->data(source);
    return Error{Error::Kind::io, "its copy in a lower GPU tier could not be loaded"};
  }
  if (!parts_.host) {
    const uint32_t key = job.table[job.copy].key;
    const void* const bytes =
        tag.precision == Precisions::kNative ? parts_.store.expert(key) : parts_.store.copy(key, tag.precision);
    return static_cast<const std::byte*>(bytes);
  }
  if (source == kNone) return Error{Error::Kind::no_memory, "the tables of host memory are full"};
  if (parts_.host->copies().phase(source) != Phase::ready) return parts_.host->failure();
  return parts_.host->data(source);
}

Result<void> Transfer::move(Job& job) {
  const Result<const std::byte*> source = source_of(job);
  if (!source) return source.error();
  link_.begin();
  if (is_beside(job)) return fill(job, *source);
  Result<void> done = job.table.tag(job.copy).precision == Precisions::kNative
                          ? copy_to_slot(job, 0, *source, parts_.store.expert_bytes(), /*is_end=*/true)
                          : decode_to_slot(job, *source);
  if (!done) return done;
  if (parts_.backend.has_streams()) job.table.issue(job.copy);
  return parts_.backend.finish_copy(job.table[job.copy].slot);
}

/// Bytes that are numbers already.
Result<void> Transfer::copy_to_slot(Job& job, uint64_t to, const std::byte* source, uint64_t size, bool is_end) {
  const uint32_t slot = job.table[job.copy].slot;
  const bool on_device = job.table.tag(job.copy).from_beside;
  const uint64_t chunk = link_.limited() && !on_device ? kLimitedChunk : kChunk;
  for (uint64_t offset = 0; offset < size; offset += chunk) {
    const uint64_t bytes = std::min(chunk, size - offset);
    const bool last = is_end && offset + bytes == size;
    Result<void> done = on_device ? parts_.backend.start_copy_on_device(slot, to + offset, source + offset, bytes, last)
                                  : parts_.backend.start_copy(slot, to + offset, source + offset, bytes, last);
    if (done) done = end_piece(job, on_device ? 0 : bytes, last);
    if (!done) return done;
  }
  return {};
}

/// Part by part, as many rows at a time as make a piece.
Result<void> Transfer::decode_to_slot(Job& job, const std::byte* source) {
  const precision::ExpertStream& stream = parts_.precisions.stream(job.table.tag(job.copy).precision);
  for (size_t i = 0; i < stream.parts().size(); ++i) {
    const bool is_end = i + 1 == stream.parts().size();
    const store::Part& to = parts_.precisions.part(i);
    const precision::PartExtent& part = stream.parts()[i];
    Result<void> done = part.format == precision::Format::native
                            ? copy_to_slot(job, to.offset_bytes, source + part.codes_offset, to.size_bytes, is_end)
                            : decode_part(job, source, i, is_end);
    if (!done) return done;
  }
  return {};
}

Result<void> Transfer::decode_part(Job& job, const std::byte* source, size_t index, bool is_end) {
  const Tag tag = job.table.tag(job.copy);
  const precision::ExpertStream& stream = parts_.precisions.stream(tag.precision);
  const store::Part& to = parts_.precisions.part(index);
  const uint64_t num_rows = stream.parts()[index].shape.rows;
  const uint64_t piece = link_.limited() && !tag.from_beside ? kLimitedChunk : kMostCodedBytes;
  const uint64_t run = std::max<uint64_t>(1, piece / stream.rows_of(source, index, 0, 1).size_bytes());
  for (uint64_t row = 0; row < num_rows; row += run) {
    const uint64_t count = std::min(run, num_rows - row);
    const bool last = is_end && row + count == num_rows;
    const precision::CodedRows rows = stream.rows_of(source, index, row, count);
    const uint64_t offset = to.offset_bytes + row * (to.size_bytes / num_rows);
    const uint32_t slot = job.table[job.copy].slot;
    Result<void> done = parts_.backend.start_decode(slot, offset, rows, to.dtype, tag.from_beside, last);
    if (done) done = end_piece(job, tag.from_beside ? 0 : rows.size_bytes(), last);
    if (!done) return done;
  }
  return {};
}

/// Into a slot of the tables beside, as it is.
Result<void> Transfer::fill(Job& job, const std::byte* source) {
  std::byte* const to = parts_.device->data(job.copy);
  const uint64_t size = parts_.precisions.bytes(job.table.tag(job.copy).precision);
  const uint64_t chunk = link_.limited() ? kLimitedChunk : kChunk;
  for (uint64_t offset = 0; offset < size; offset += chunk) {
    const uint64_t bytes = std::min(chunk, size - offset);
    Result<void> done = parts_.backend.fill_coded(to + offset, source + offset, bytes);
    if (done) done = end_piece(job, bytes, offset + bytes == size);
    if (!done) return done;
  }
  return {};
}

/// Errors: io: nobody wants the rest.
Result<void> Transfer::end_piece(Job& job, uint64_t bytes, bool last) {
  job.bytes += bytes;
  parts_.traffic.bytes_moved.fetch_add(bytes, std::memory_order_relaxed);
  if (link_.limited() && bytes != 0) wait_for_link(link_.after(bytes));
  if (last) return {};
  let_pass(job.queue);
  if (unwanted(job)) return Error{Error::Kind::io, "given up: nobody waits for it"};
  return {};
}

void Transfer::wait_for_link(Clock::time_point until) const {
  constexpr auto kSlice = milliseconds(5);  // so that destroying the runtime does not take as long as a slow link
  for (auto now = Clock::now(); now < until && !stopping_.load(std::memory_order_relaxed); now = Clock::now()) {
    std::this_thread::sleep_for(std::min<Clock::duration>(until - now, kSlice));
  }
}

}  // namespace moe::core
