// SPDX-License-Identifier: Apache-2.0
#include "runtime/disk/reader.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace moe::disk {
namespace {

constexpr uint32_t kMostDepth = 64;

template <class T>
bool within(T value, T least, T most) {
  return value >= least && value <= most;
}

Result<void> check(const Options& options) {
  const auto refuse = [](const char* what) {
    return Result<void>(Error{Error::Kind::invalid, std::string("disk reader: ") + what});
  };
  if (!within(options.depth, 1u, kMostDepth)) return refuse("depth is not 1 to 64");
  if (!within(options.pread_threads, 1u, kMostDepth)) return refuse("pread_threads is not 1 to 64");
  if (!within(options.staging_buffers, 1u, kMostDepth)) return refuse("staging_buffers is not 1 to 64");
  if (!within(options.num_requests, 1u, 65536u)) return refuse("num_requests is not 1 to 65536");
  if (options.chunk_bytes % kBlock != 0 || !within<uint64_t>(options.chunk_bytes, 64 << 10, 1 << 30)) {
    return refuse("chunk_bytes is not a multiple of 4096 from 64 KiB to 1 GiB");
  }
  if (!(options.prefetch_share > 0 && options.prefetch_share <= 1)) return refuse("prefetch_share is not in (0, 1]");
  if (options.stall_limit <= Clock::duration::zero() || options.stall_limit > std::chrono::hours(24)) {
    return refuse("stall_limit is not above 0 and at most a day");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<DiskReader>> DiskReader::open(std::span<const std::string> paths, const Options& options) {
  if (Result<void> good = check(options); !good) return good.error();
  try {
    Result<FileSet> files = FileSet::open(paths, options.direct);
    if (!files) return files.error();
    std::unique_ptr<DiskReader> reader(new DiskReader(std::move(*files), options));
    if (Result<void> opened = reader->open_io(options); !opened) return opened.error();
    return reader;
  } catch (const std::bad_alloc&) {
    return Error{Error::Kind::no_memory, "no memory for the disk reader"};
  }
}

DiskReader::DiskReader(FileSet files, const Options& options)
    : files_(std::move(files)),
      depth_(options.depth),
      chunk_bytes_(options.chunk_bytes),
      stall_limit_(options.stall_limit),
      staging_(options.staging_memory, options.staging_buffers, options.chunk_bytes + 2 * kBlock),
      records_(options.num_requests),
      flights_({}, options.depth),
      results_({}, options.depth),
      pace_(options.bytes_per_s, options.chunk_bytes),
      prefetch_share_(options.prefetch_share) {}

Result<void> DiskReader::open_io(const Options& options) {
  Result<std::unique_ptr<Io>> io = options.engine == Engine::pread ? open_pread(options.depth, options.pread_threads)
                                                                   : open_uring(options.depth, staging_.buffers());
  if (!io && options.engine == Engine::automatic) {
    fallback_reason_ = io.error().message;
    io = open_pread(options.depth, options.pread_threads);
  }
  if (!io) return io.error();
  io_ = options.wrap_io ? options.wrap_io(std::move(*io)) : std::move(*io);
  return {};
}

DiskReader::~DiskReader() {
  if (!io_) return;
  const auto in_kernel = [](const Flight& flight) { return flight.busy && !flight.held; };
  while (std::any_of(flights_.begin(), flights_.end(), in_kernel)) {
    const size_t count = io_->wait({results_.data(), results_.size()}, kNever);
    for (size_t i = 0; i < count; ++i) flights_[results_[i].tag].busy = false;
  }
}

RequestId DiskReader::submit(const Request& request, bool wake_owner) {
  const RequestId id = records_.submit(request);
  if (id != kNoRequest) notify(wake_owner);
  return id;
}

void DiskReader::cancel(RequestId id, bool wake_owner) {
  records_.cancel(id);
  notify(wake_owner);
}

void DiskReader::promote(RequestId id, Class cls, uint16_t priority, bool wake_owner) {
  records_.promote(id, cls, priority);
  notify(wake_owner);
}

void DiskReader::wake() {
  woken_.store(true, std::memory_order_seq_cst);
  notify(true);
}

// The owner says that it sleeps, then looks for news; who has news does it the other way round. So at least one of the
// two sees the other.
void DiskReader::notify(bool wake_owner) {
  if (wake_owner && sleeping_.load(std::memory_order_seq_cst) && sleeping_.exchange(false, std::memory_order_seq_cst)) {
    io_->wake();
  }
}

void DiskReader::set_prefetch_share(double share) {
  prefetch_share_.store(share > 0 && share <= 1 ? share : 1, std::memory_order_relaxed);
}

size_t DiskReader::poll(std::span<Completion> completions, Clock::time_point until) {
  // What the disk has delivered while nobody polled is not late.
  wait(records_.epoch(), Clock::time_point{});
  for (bool last = false;;) {
    const uint32_t seen = records_.epoch();
    const Clock::time_point now = Clock::now();
    work(now);
    const size_t count = report(completions);
    if (count != 0 || last || woken_.exchange(false, std::memory_order_seq_cst)) {
      io_->flush();
      return count;
    }
    last = now >= until;
    wait(seen, std::min(until, next_timer()));
  }
}

void DiskReader::work(Clock::time_point now) {
  records_.take([this](uint32_t record) { adopt(record); }, [this](uint32_t record) { obey(record); });
  for (uint32_t i = 0; i < depth_; ++i) {
    Flight& flight = flights_[i];
    if (!flight.busy || !flight.held || now < flight.due) continue;
    flight.held = false;
    arrive(i, flight.result, now);
  }
  expire(now);
  issue(now);
}

void DiskReader::wait(uint32_t seen, Clock::time_point until) {
  sleeping_.store(true, std::memory_order_seq_cst);
  const bool news = records_.epoch() != seen || woken_.load(std::memory_order_seq_cst);
  const size_t count = io_->wait({results_.data(), results_.size()}, news ? Clock::time_point{} : until);
  sleeping_.store(false, std::memory_order_seq_cst);
  const Clock::time_point now = Clock::now();
  for (size_t i = 0; i < count; ++i) arrive(results_[i].tag, results_[i].result, now);
}

Clock::time_point DiskReader::next_timer() const {
  Clock::time_point next = issue_again_at_;
  const Clock::time_point now = Clock::now();
  for (const Flight& flight : flights_) {
    if (!flight.busy) continue;
    if (flight.held) {
      next = std::min(next, flight.due);
    } else if (!is_stuck(flight, now)) {
      next = std::min(next, flight.sent + stall_limit_);
    }
  }
  for (uint32_t place = 0; place < records_.num_active(); ++place) {
    const Record& record = records_[records_.active(place)];
    const bool may_expire = record.stage != Stage::overdue && record.completion.status != Status::cancelled;
    if (may_expire) next = std::min(next, record.request.deadline);
  }
  return next;
}

size_t DiskReader::report(std::span<Completion> completions) {
  size_t count = 0;
  while (count < completions.size()) {
    const uint32_t i = records_.next_listed();
    if (i == kNone) break;
    completions[count++] = records_[i].completion;
    if (records_[i].stage == Stage::finished) records_.recycle(i);
  }
  return count;
}

std::string DiskReader::describe(const Completion& completion) const {
  const std::string file =
      completion.file < files_.size() ? files_.path(completion.file) : "file number " + std::to_string(completion.file);
  const std::string where =
      file + ": " + std::to_string(completion.length) + " bytes at offset " + std::to_string(completion.offset) + ": ";
  const auto hex = [](uint32_t sum) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text = "0x";
    for (int shift = 28; shift >= 0; shift -= 4) text += kDigits[sum >> shift & 15];
    return text;
  };
  const std::string failed_at = " at offset " + std::to_string(completion.failed_at);
  switch (completion.status) {
    case Status::ok:
      return where + "read";
    case Status::invalid:
      return where + (completion.file < files_.size()
                          ? "no extent within the file's " + std::to_string(files_.size_bytes(completion.file)) +
                                " bytes, or no destination"
                          : "no such file");
    case Status::io_error:
      return where + "reading" + failed_at + " failed twice: " + std::strerror(completion.error_number);
    case Status::end_of_file:
      return where + "the file ends" + failed_at + "; it has become shorter";
    case Status::mismatch:
      return where + "the CRC-32C is " + hex(completion.found_crc32c) + ", not " + hex(completion.expected_crc32c) +
             ", after reading twice";
    case Status::timed_out:
      return where + "the disk did not deliver in time";
    case Status::cancelled:
      return where + "cancelled";
    case Status::released:
      return where + "the late read has ended";
  }
  return where;
}

}  // namespace moe::disk
