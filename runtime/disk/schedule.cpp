// SPDX-License-Identifier: Apache-2.0
// What is read next.
#include <algorithm>

#include "runtime/disk/reader.h"

namespace moe::disk {
namespace {

constexpr uint64_t kLeastPiece = 64 << 10;

bool has_more(const Record& record) { return record.stage == Stage::reading && record.issued < record.request.length; }

bool goes_before(const Record& a, const Record& b) {
  if (a.cls != b.cls) return a.cls < b.cls;
  if (a.priority != b.priority) return a.priority > b.priority;
  if (a.deadline != b.deadline) return a.deadline < b.deadline;
  return a.order < b.order;
}

}  // namespace

// Several pieces together are what a demand may find under way, so that the disk has more than one thing to do.
uint64_t DiskReader::limit(Class cls) const {
  return cls == Class::demand ? chunk_bytes_ : std::max(round_down(chunk_bytes_ / 4), kLeastPiece);
}

void DiskReader::issue(Clock::time_point now) {
  issue_again_at_ = kNever;
  for (;;) {
    const uint32_t best = most_urgent();
    if (best == kNone) {
      if (pace_.link_free(now)) pace_.idle();
      return;
    }
    if (!pace_.link_free(now)) {
      issue_again_at_ = pace_.free_at();
      return;
    }
    if (!may_start(records_[best], now)) {
      pace_.idle();
      if (records_[best].cls == Class::prefetch && pace_.prefetch_at() > now) issue_again_at_ = pace_.prefetch_at();
      return;
    }
    if (!start_chunk(best, now)) return;
  }
}

uint32_t DiskReader::most_urgent() const {
  uint32_t best = kNone;
  for (uint32_t place = 0; place < records_.num_active(); ++place) {
    const uint32_t i = records_.active(place);
    if (has_more(records_[i]) && (best == kNone || goes_before(records_[i], records_[best]))) best = i;
  }
  return best;
}

bool DiskReader::is_stuck(const Flight& flight, Clock::time_point now) const {
  return flight.busy && !flight.held && now - flight.sent >= stall_limit_;
}

/// Whether the rules for classes behind demand let it go on now.
bool DiskReader::may_start(const Record& record, Clock::time_point now) const {
  if (record.cls == Class::demand) return true;
  uint64_t under_way = 0;
  for (const Flight& flight : flights_) {
    // What the disk has kept too long is no load on it that anyone can wait for.
    if (!flight.busy || is_stuck(flight, now)) continue;
    if (flight.cls != Class::demand) under_way += flight.chunk.size_bytes();
    for (uint32_t s = 0; s < flight.chunk.num_segments(); ++s) {
      const uint32_t owner = flight.chunk.segments()[s].record;
      if (owner != kNone && records_[owner].stage == Stage::reading && records_[owner].cls < record.cls) return false;
    }
  }
  const uint64_t bytes = std::min(limit(record.cls), record.request.length - record.issued);
  if (under_way != 0 && under_way + bytes > chunk_bytes_) return false;
  return record.cls != Class::prefetch ||
         pace_.may_prefetch(now, bytes, prefetch_share_.load(std::memory_order_relaxed));
}

bool DiskReader::start_chunk(uint32_t best, Clock::time_point now) {
  Flight* flight = std::find_if(flights_.begin(), flights_.end(), [](const Flight& f) { return !f.busy; });
  if (flight == flights_.end()) return false;
  Chunk& chunk = flight->chunk;
  plan(chunk, best);
  const bool staged = chunk.needs_staging();
  const int32_t buffer = staged ? staging_.take() : -1;
  if (staged && buffer < 0) return false;
  chunk.lay_out(buffer, staged ? staging_.memory(buffer) : std::span<std::byte>{});
  for (uint32_t s = 0; s < chunk.num_segments(); ++s) {
    Record& record = records_[chunk.segments()[s].record];
    if (record.issued == 0 && s != 0) counters_.coalesced.fetch_add(1, std::memory_order_relaxed);
    record.issued += chunk.segments()[s].length;
    ++record.in_flight;
  }
  flight->busy = true;
  flight->held = false;
  flight->failures = flight->interruptions = 0;
  flight->cls = records_[best].cls;
  flight->due = pace_.start(now, chunk.size_bytes());
  if (flight->cls == Class::prefetch) pace_.prefetch_started(now, chunk.size_bytes());
  counters_.reads.fetch_add(1, std::memory_order_relaxed);
  counters_.bytes.fetch_add(chunk.size_bytes(), std::memory_order_relaxed);
  send(static_cast<uint32_t>(flight - flights_.begin()), now);
  return true;
}

/// The next bytes of `best`, and of those that follow them in the file. Padding between them counts: it is read, and
/// takes room in a staging buffer.
void DiskReader::plan(Chunk& chunk, uint32_t best) const {
  const Class cls = records_[best].cls;
  const uint64_t begin = records_[best].request.offset + records_[best].issued;
  const uint64_t most = limit(cls);
  chunk.begin(records_[best].request.file, files_.direct(records_[best].request.file));
  for (uint32_t i = best; i != kNone; i = neighbour(chunk, cls)) {
    const Record& record = records_[i];
    const uint64_t from = record.request.offset + record.issued;
    const uint64_t left = record.request.length - record.issued;
    if (from - begin + kBlock > most) return;
    const uint64_t room = most - (from - begin);
    // A chunk that ends within an extent ends with a block, so that no block is read twice.
    const uint64_t bytes = left <= room ? left : round_down(from + room) - from;
    chunk.add(i, from, bytes, static_cast<std::byte*>(record.request.destination) + record.issued);
    if (record.alone || bytes < left || !chunk.has_room()) return;
  }
}

uint32_t DiskReader::neighbour(const Chunk& chunk, Class cls) const {
  for (uint32_t place = 0; place < records_.num_active(); ++place) {
    const uint32_t i = records_.active(place);
    const Record& record = records_[i];
    if (record.stage == Stage::reading && record.issued == 0 && !record.alone && record.cls == cls &&
        record.request.file == chunk.file() && chunk.continues_at(record.request.offset)) {
      return i;
    }
  }
  return kNone;
}

void DiskReader::send(uint32_t index, Clock::time_point now) {
  Flight& flight = flights_[index];
  const uint32_t file = flight.chunk.file();
  flight.direct = files_.direct(file);
  flight.sent = now;
  io_->start(flight.chunk.read(index, files_.fd(file)));
}

}  // namespace moe::disk
