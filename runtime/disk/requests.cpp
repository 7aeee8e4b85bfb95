// SPDX-License-Identifier: Apache-2.0
// The life of requests: who reads, who follows, who gives up.
#include <algorithm>

#include "runtime/disk/reader.h"

namespace moe::disk {
namespace {

bool same_extent(const Request& a, const Request& b) {
  return a.file == b.file && a.offset == b.offset && a.length == b.length;
}

}  // namespace

void DiskReader::adopt(uint32_t i) {
  Record& record = records_[i];
  const Request& request = record.request;
  record.stage = Stage::reading;
  record.begin_again = record.alone = record.reread = false;
  record.wants_sum = request.crc32c.has_value();
  record.cls = request.cls;
  record.priority = request.priority;
  record.deadline = request.deadline;
  record.in_flight = 0;
  record.issued = record.summed = 0;
  record.sum = 0;
  record.leader = record.next_follower = kNone;
  record.completion = {};
  record.completion.id = records_.id(i);
  record.completion.cookie = request.cookie;
  record.completion.file = request.file;
  record.completion.offset = request.offset;
  record.completion.length = request.length;
  records_.activate(i);

  const bool good = request.file < files_.size() && request.length != 0 && request.destination != nullptr &&
                    request.cls <= Class::prefetch && request.length <= files_.size_bytes(request.file) &&
                    request.offset <= files_.size_bytes(request.file) - request.length;
  if (!good) {
    record.completion.status = Status::invalid;
    finish(i);
  } else if (follow(i)) {
    counters_.deduplicated.fetch_add(1, std::memory_order_relaxed);
  }
}

/// Lets the record wait for another one that reads its extent, if there is one.
bool DiskReader::follow(uint32_t i) {
  Record& record = records_[i];
  for (uint32_t place = 0; place < records_.num_active(); ++place) {
    const uint32_t other = records_.active(place);
    Record& leader = records_[other];
    const bool reads = leader.stage == Stage::reading || (leader.stage == Stage::draining && leader.begin_again);
    if (other == i || !reads || !same_extent(leader.request, record.request)) continue;
    record.stage = Stage::following;
    record.leader = other;
    record.next_follower = leader.next_follower;
    leader.next_follower = i;
    leader.wants_sum |= record.wants_sum;
    urge(other, record.cls, record.priority, record.deadline);
    return true;
  }
  return false;
}

void DiskReader::unfollow(uint32_t i) {
  uint32_t* link = &records_[records_[i].leader].next_follower;
  while (*link != i) link = &records_[*link].next_follower;
  *link = records_[i].next_follower;
  records_[i].next_follower = kNone;
}

void DiskReader::urge(uint32_t i, Class cls, uint16_t priority, Clock::time_point deadline) {
  Record& record = records_[i];
  if (cls < record.cls) {
    record.cls = cls;
    record.priority = priority;
  } else if (cls == record.cls) {
    record.priority = std::max(record.priority, priority);
  }
  record.deadline = std::min(record.deadline, deadline);
}

void DiskReader::obey(uint32_t i) {
  const Stage stage = records_[i].stage;
  if (stage == Stage::finished || stage == Stage::overdue) return;
  if (records_.is_cancelled(i)) return give_up(i, Status::cancelled);
  Class cls;
  uint16_t priority;
  if (!records_.urged(i, cls, priority)) return;
  urge(i, cls, priority, kNever);
  if (stage == Stage::following) urge(records_[i].leader, cls, priority, kNever);
}

/// Makes the first follower the one that reads, from the begin: what the leader has is in the leader's memory.
void DiskReader::hand_over(uint32_t i) {
  Record& old = records_[i];
  const uint32_t heir = old.next_follower;
  if (heir == kNone) return;
  old.next_follower = kNone;
  Record& record = records_[heir];
  record.stage = Stage::reading;
  record.leader = kNone;
  for (uint32_t f = record.next_follower; f != kNone; f = records_[f].next_follower) {
    const Record& follower = records_[f];
    records_[f].leader = heir;
    record.wants_sum |= follower.wants_sum;
    urge(heir, follower.cls, follower.priority, follower.deadline);
  }
}

/// Ends a request that has not ended: cancelled or timed_out.
void DiskReader::give_up(uint32_t i, Status status) {
  Record& record = records_[i];
  record.completion.status = status;
  if (record.stage == Stage::following) {
    unfollow(i);
    return finish(i);
  }
  hand_over(i);
  record.begin_again = false;
  drain(i);
  if (status != Status::timed_out || record.stage != Stage::draining) return;
  record.stage = Stage::overdue;
  record.completion.destination_released = false;
  records_.list(i);
}

void DiskReader::expire(Clock::time_point now) {
  const auto stuck = [&](const Flight& flight) { return is_stuck(flight, now); };
  const bool any_stuck = std::any_of(flights_.begin(), flights_.end(), stuck);
  const bool all_stuck = any_stuck && std::all_of(flights_.begin(), flights_.end(), stuck);
  const auto is_stalled = [&](uint32_t i) {
    if (all_stuck) return true;
    return std::any_of(flights_.begin(), flights_.end(), [&](const Flight& flight) {
      const Segment* segments = flight.chunk.segments();
      return stuck(flight) && std::any_of(segments, segments + flight.chunk.num_segments(),
                                          [i](const Segment& segment) { return segment.record == i; });
    });
  };
  // From the end: who leaves the list is replaced by its last.
  for (uint32_t place = records_.num_active(); place-- > 0;) {
    const uint32_t i = records_.active(place);
    const Record& record = records_[i];
    if (record.stage == Stage::overdue || record.completion.status == Status::cancelled) continue;
    if (now < record.request.deadline && !(any_stuck && is_stalled(i))) continue;
    counters_.timeouts.fetch_add(1, std::memory_order_relaxed);
    give_up(i, Status::timed_out);
  }
}

void DiskReader::finish(uint32_t i) {
  records_.deactivate(i);
  records_[i].stage = Stage::finished;
  if (!records_[i].listed) records_.list(i);
}

/// Ends a leader and its followers. What it failed of, they fail of; checksums were judged one by one.
void DiskReader::finish_group(uint32_t leader) {
  const Completion& outcome = records_[leader].completion;
  const bool failed = outcome.status == Status::io_error || outcome.status == Status::end_of_file;
  for (uint32_t i = records_[leader].next_follower; i != kNone;) {
    const uint32_t next = records_[i].next_follower;
    if (failed) {
      records_[i].completion.status = outcome.status;
      records_[i].completion.error_number = outcome.error_number;
      records_[i].completion.failed_at = outcome.failed_at;
    }
    records_[i].next_follower = kNone;
    finish(i);
    i = next;
  }
  records_[leader].next_follower = kNone;
  finish(leader);
}

}  // namespace moe::disk
