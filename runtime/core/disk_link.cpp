// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/disk_link.h"

#include <pthread.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <system_error>

#include "runtime/base/signals_blocked.h"

namespace moe::core {
namespace {

using disk::Clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr auto kActive = milliseconds(10);   // after the last dispatch
constexpr auto kDoze = microseconds(100);    // while active, or reading: the longest that a dispatch goes unseen
constexpr auto kLongDoze = milliseconds(1);  // while only unreleased plans say that more may come
constexpr uint32_t kMostRequests = 1024;

disk::Class class_of(Queue queue) {
  if (queue == Queue::demand) return disk::Class::demand;
  return queue == Queue::background ? disk::Class::background : disk::Class::prefetch;
}

}  // namespace

DiskLink::~DiskLink() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_seq_cst);
  parts_.waker.wake_alone();
  reader_->wake();
  thread_.join();
}

Result<void> DiskLink::start(disk::Options options, const Allocator& allocator) {
  const store::ExtentStore& store = *parts_.host.store().extents();
  std::vector<std::string> paths;
  for (const store::DataFile& file : store.index().files) paths.push_back(store.path_of(file.name));
  options.num_requests = std::clamp(parts_.host.copies().num_slots(), 16u, kMostRequests);
  Result<std::unique_ptr<disk::DiskReader>> reader = disk::DiskReader::open(paths, options);
  if (!reader) return reader.error();
  reader_ = std::move(*reader);
  requests_ = Array<disk::RequestId>(allocator, parts_.host.copies().size());
  num_requests_ = options.num_requests;
  readings_.reserve(num_requests_);
  if (!reader_->fallback_reason().empty()) {
    parts_.log(MOE_LOG_INFO, "experts are read with pread: " + reader_->fallback_reason());
  }
  const SignalsBlocked blocked;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& e) {
    return Error{Error::Kind::no_memory, std::string("cannot start the disk thread: ") + e.what()};
  }
  return {};
}

void DiskLink::run() {
  pthread_setname_np(pthread_self(), "moe-disk");
  ::prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
  while (!stopping_.load(std::memory_order_seq_cst)) {
    const uint32_t seen = parts_.waker.epoch();
    if (!work()) rest(seen);
  }
}

/// Whether there was something to do, or reads are under way.
bool DiskLink::work() {
  CopyTable& copies = parts_.host.copies();
  bool any = copies.any_deferred() && copies.fill_deferred();
  copies.collect();
  hurry();
  give_up_orphans();
  while (submit_next()) any = true;
  std::array<disk::Completion, 64> completions;
  const auto until = readings_.empty() ? Clock::time_point{} : Clock::now() + kDoze;
  const size_t count = reader_->poll(completions, until);
  for (size_t i = 0; i < count; ++i) land(completions[i]);
  if (count != 0) parts_.transfer.wake_alone();
  return any || count != 0 || !readings_.empty();
}

bool DiskLink::submit_next() {
  CopyTable& copies = parts_.host.copies();
  if (readings_.size() == num_requests_) return false;
  for (const Queue queue : {Queue::demand, Queue::background, Queue::prefetch}) {
    const uint32_t copy = copies.start(queue);
    if (copy == kNone) continue;
    const store::ExtentStore& store = *parts_.host.store().extents();
    const store::Extent& extent = store.index().extents[copies[copy].key];  // native ones come first
    disk::Request request;
    request.file = extent.file;
    request.offset = extent.offset_bytes;
    request.length = extent.size_bytes;
    request.destination = parts_.host.slot_data(copies[copy].slot);
    request.crc32c = extent.crc32c;
    request.cls = class_of(queue);
    request.cookie = copy;
    requests_[copy] = reader_->submit(request, /*wake_owner=*/false);
    readings_.push_back(
        {requests_[copy], copy, static_cast<uint32_t>(queue), false, false, parts_.timeline ? Timeline::now() : 0});
    return true;
  }
  return false;
}

void DiskLink::hurry() {
  parts_.host.take_urgent([this](uint32_t copy) {
    if (requests_[copy] != disk::kNoRequest) reader_->promote(requests_[copy], disk::Class::demand, 0, false);
  });
}

void DiskLink::give_up_orphans() {
  for (Reading& reading : readings_) {
    if (reading.given_up || parts_.host.copies().phase(reading.copy) != Phase::orphan) continue;
    reading.given_up = true;
    reader_->cancel(reading.id, false);
  }
}

void DiskLink::land(const disk::Completion& completion) {
  const auto copy = static_cast<uint32_t>(completion.cookie);
  const auto found =
      std::find_if(readings_.begin(), readings_.end(), [&](const Reading& one) { return one.id == completion.id; });
  if (completion.status != disk::Status::released) arrive(*found, completion);
  if (!completion.destination_released) return;
  if (completion.status == disk::Status::released) {
    // The hold that kept the slot from others, or what is left of a copy that nobody wants.
    found->expired ? parts_.host.copies().drop(copy) : parts_.host.copies().end_orphan(copy);
  }
  if (requests_[copy] == completion.id) requests_[copy] = disk::kNoRequest;
  *found = readings_.back();
  readings_.pop_back();
}

void DiskLink::arrive(Reading& reading, const disk::Completion& completion) {
  CopyTable& copies = parts_.host.copies();
  const bool good = completion.status == disk::Status::ok;
  if (parts_.timeline) note(reading, completion);
  if (good) parts_.traffic.disk_bytes.fetch_add(completion.length, std::memory_order_relaxed);
  if (!good && copies.phase(reading.copy) != Phase::orphan) {
    const store::ExtentStore& store = *parts_.host.store().extents();
    const std::string what =
        store.describe(store.index().extents[copies[reading.copy].key]) + ": " + reader_->describe(completion);
    parts_.log(MOE_LOG_ERROR, what);
    parts_.host.note_failure({Error::Kind::io, what});
  }
  if (completion.destination_released) return end(reading.copy, good);
  copies.borrow(reading.copy);
  reading.expired = copies.finish(reading.copy, false);
}

/// Reads overlap; the row shows what the link gave to each: from when the one before it had arrived.
void DiskLink::note(const Reading& reading, const disk::Completion& completion) {
  const uint64_t now = Timeline::now();
  const bool good = completion.status == disk::Status::ok;
  parts_.timeline->add(Track::disk,
                       {std::max(reading.begin_ns, last_arrival_ns_), now, parts_.host.copies()[reading.copy].key,
                        reading.queue | (good ? 0 : kFailed), completion.length});
  last_arrival_ns_ = now;
}

void DiskLink::end(uint32_t copy, bool good) {
  CopyTable& copies = parts_.host.copies();
  if (!copies.finish(copy, good)) copies.end_orphan(copy);
}

/// As the transfer thread rests, see there.
void DiskLink::rest(uint32_t seen) {
  const auto now = Clock::now();
  if (seen != last_seen_) active_until_ = now + kActive;
  last_seen_ = seen;
  if (now < active_until_) return parts_.waker.doze(seen, kDoze);
  if (!parts_.host.copies().any_deferred() && parts_.plans.num_open() == 0) return parts_.waker.sleep(seen);
  parts_.waker.doze(seen, kLongDoze);
}

}  // namespace moe::core
