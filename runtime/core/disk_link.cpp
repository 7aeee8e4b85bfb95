// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/disk_link.h"

#include <algorithm>
#include <array>

namespace moe::core {
namespace {

using disk::Clock;

// While active, or reading: the longest that a dispatch goes unseen.
constexpr auto kDoze = std::chrono::microseconds(100);
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
  return start_link_thread(thread_, "disk", "moe-disk", [this] { run(); });
}

void DiskLink::run() {
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
    const store::Extent& extent = parts_.host.extent(copy);
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
    const std::string what = store.describe(parts_.host.extent(reading.copy)) + ": " + reader_->describe(completion);
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
  if (activity_.lasts(seen, Clock::now())) return parts_.waker.doze(seen, kDoze);
  if (!parts_.host.copies().any_deferred() && parts_.plans.num_open() == 0) return parts_.waker.sleep(seen);
  parts_.waker.doze(seen, kLongDoze);
}

}  // namespace moe::core
