// SPDX-License-Identifier: Apache-2.0
// What became of reads: retries, copies out of staging, checksums.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/base/crc32c.h"
#include "runtime/disk/reader.h"

namespace moe::disk {
namespace {

constexpr uint8_t kMostInterruptions = 16;

bool is_interruption(int32_t result) { return result == -EINTR || result == -EAGAIN || result == -ECANCELED; }

}  // namespace

void DiskReader::arrive(uint32_t index, int32_t result, Clock::time_point now) {
  Flight& flight = flights_[index];
  Chunk& chunk = flight.chunk;
  if (now < flight.due) {
    flight.held = true;
    flight.result = result;
    return;
  }
  if (!wanted(chunk)) return land(index, Status::cancelled, 0, now);
  if (result == -EINVAL && flight.direct) {
    files_.make_buffered(chunk.file());
    return send(index, now);
  }
  if (is_interruption(result) && ++flight.interruptions < kMostInterruptions) return send(index, now);
  if (result >= 0) {
    const Chunk::Progress progress = chunk.advance(static_cast<uint64_t>(result));
    if (progress == Chunk::Progress::done) return land(index, Status::ok, 0, now);
    if (progress == Chunk::Progress::some) {
      counters_.short_reads.fetch_add(1, std::memory_order_relaxed);
      return send(index, now);
    }
  }
  if (++flight.failures == 1) {
    counters_.retries.fetch_add(1, std::memory_order_relaxed);
    return send(index, now);
  }
  land(index, result < 0 ? Status::io_error : Status::end_of_file, result < 0 ? -result : 0, now);
}

bool DiskReader::wanted(const Chunk& chunk) const {
  for (uint32_t s = 0; s < chunk.num_segments(); ++s) {
    const uint32_t owner = chunk.segments()[s].record;
    if (owner != kNone && records_[owner].stage == Stage::reading) return true;
  }
  return false;
}

/// The chunk's reads are over, and its bytes belong to their requests. ok, or why there are none.
void DiskReader::land(uint32_t index, Status outcome, int error_number, Clock::time_point now) {
  Flight& flight = flights_[index];
  Chunk& chunk = flight.chunk;
  for (uint32_t s = 0; s < chunk.num_segments(); ++s) {
    const Segment& segment = chunk.segments()[s];
    if (segment.record == kNone) continue;
    Record& record = records_[segment.record];
    --record.in_flight;
    if (outcome == Status::ok && segment.staged && record.stage == Stage::reading) {
      std::memcpy(segment.destination, segment.staged_at, segment.length);
    }
  }
  flight.busy = false;
  if (chunk.buffer() >= 0) staging_.give_back(chunk.buffer());
  if (flight.cls == Class::prefetch) pace_.prefetch_ended(now, prefetch_share_.load(std::memory_order_relaxed));

  for (uint32_t s = 0; s < chunk.num_segments(); ++s) {
    const uint32_t i = chunk.segments()[s].record;
    const bool again = s != 0 && chunk.segments()[s - 1].record == i;  // an extent's body and tail
    if (i == kNone || again) continue;
    Record& record = records_[i];
    if (outcome != Status::ok && record.stage == Stage::reading) {
      record.begin_again = chunk.shared() && !record.alone;
      record.alone = true;
      record.completion.status = record.begin_again ? Status::ok : outcome;
      record.completion.error_number = error_number;
      record.completion.failed_at = chunk.position();
      drain(i);
    } else {
      settle(i);
    }
  }
}

/// Something of the record has come back.
void DiskReader::settle(uint32_t i) {
  Record& record = records_[i];
  if (record.stage == Stage::reading) {
    if (record.wants_sum) sum_up(record, i);
    if (record.issued == record.request.length && record.in_flight == 0) complete(i);
  } else if (record.in_flight == 0 && (record.stage == Stage::draining || record.stage == Stage::overdue)) {
    drained(i);
  }
}

/// Sums the bytes up to the first that is not there, while they are in the cache.
void DiskReader::sum_up(Record& record, uint32_t index) {
  uint64_t there = record.issued;
  for (const Flight& flight : flights_) {
    for (uint32_t s = 0; flight.busy && s < flight.chunk.num_segments(); ++s) {
      const Segment& segment = flight.chunk.segments()[s];
      if (segment.record == index) there = std::min(there, segment.offset - record.request.offset);
    }
  }
  if (there <= record.summed) return;
  const auto* bytes = static_cast<const std::byte*>(record.request.destination);
  record.sum = crc32c(bytes + record.summed, there - record.summed, record.sum);
  record.summed = there;
}

/// All bytes of the extent are there: judges them for everyone who asked.
void DiskReader::complete(uint32_t leader) {
  Record& record = records_[leader];
  bool wrong = false;
  for (uint32_t i = leader; i != kNone; i = records_[i].next_follower) {
    const std::optional<uint32_t>& expected = records_[i].request.crc32c;
    Completion& completion = records_[i].completion;
    completion.status = Status::ok;
    if (!expected || *expected == record.sum) continue;
    wrong = true;
    completion.status = Status::mismatch;
    completion.expected_crc32c = *expected;
    completion.found_crc32c = record.sum;
  }
  if (wrong && !record.reread) {
    counters_.rereads.fetch_add(1, std::memory_order_relaxed);
    files_.forget(record.request.file, record.request.offset, record.request.length);
    record.reread = record.alone = record.begin_again = true;
    return drain(leader);
  }
  const Request& source = record.request;
  for (uint32_t i = record.next_follower; i != kNone; i = records_[i].next_follower) {
    void* destination = records_[i].request.destination;
    if (destination != source.destination) std::memcpy(destination, source.destination, source.length);
  }
  finish_group(leader);
}

/// Stops reading for the record: what is staged is nobody's, what goes straight to its destination is waited for.
void DiskReader::drain(uint32_t i) {
  Record& record = records_[i];
  record.stage = Stage::draining;
  for (Flight& flight : flights_) {
    for (uint32_t s = 0; flight.busy && s < flight.chunk.num_segments(); ++s) {
      Segment& segment = flight.chunk.segments()[s];
      if (segment.record != i || !segment.staged) continue;
      segment.record = kNone;
      --record.in_flight;
    }
  }
  if (record.in_flight == 0) drained(i);
}

void DiskReader::drained(uint32_t i) {
  Record& record = records_[i];
  if (record.stage == Stage::overdue) {
    record.completion.destination_released = true;
    // The first completion may wait to be reported: then it says so itself.
    if (!record.listed) record.completion.status = Status::released;
    return finish(i);
  }
  if (!record.begin_again) return finish_group(i);
  record.begin_again = false;
  record.issued = record.summed = 0;
  record.sum = 0;
  record.completion.status = Status::ok;
  record.stage = Stage::reading;
}

}  // namespace moe::disk
