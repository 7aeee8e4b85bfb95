// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/disk_speed.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <random>

#include "runtime/device/machine.h"
#include "runtime/device/memory_speed.h"
#include "runtime/device/scratch_file.h"

namespace moe::device {
namespace {

using disk::Clock;
using disk::Completion;
using disk::DiskReader;
using disk::kBlock;
using std::chrono::milliseconds;

constexpr uint64_t kBlocks[] = {256 << 10, 1 << 20, 4 << 20};
constexpr uint64_t kLatencyBlock = 256 << 10;
constexpr uint32_t kDepth = 8;
constexpr milliseconds kWriting{1000};
constexpr milliseconds kRound{60};
constexpr uint32_t kMostRounds = 7;
constexpr milliseconds kEnough{350};  ///< of one block size, if it has a round by then
constexpr milliseconds kAtMost{700};  ///< then what there is counts
constexpr milliseconds kPatience{5000};
constexpr uint32_t kMostReads = 200;
constexpr milliseconds kLatencyTime{300};

/// Why reads of `path` cannot pass the page cache by; empty: they can.
std::string direct_refusal(const std::string& path, const std::string& file_system) {
  alignas(kBlock) char block[kBlock];
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  const bool works = fd >= 0 && ::pread(fd, block, kBlock, 0) >= 0;
  const int code = errno;
  if (fd >= 0) ::close(fd);
  return works ? std::string() : "the file system (" + file_system + ") refuses O_DIRECT: " + std::strerror(code);
}

/// Requests for blocks in a random order in which each comes once before one comes again, and the memory they go to.
class RandomReads {
 public:
  static Result<std::unique_ptr<RandomReads>> open(const ScratchFile& file, uint64_t block, uint32_t depth,
                                                   const Disk& disk, disk::Engine engine) {
    std::unique_ptr<RandomReads> reads(new RandomReads(file, block, depth));
    disk::Options options;
    options.engine = engine;
    options.direct = disk.direct_refusal.empty();
    options.depth = depth;
    options.pread_threads = depth;
    options.chunk_bytes = block;
    options.staging_buffers = 1;  // everything is aligned: none is used
    const std::string path = file.path();
    Result<std::unique_ptr<DiskReader>> reader = DiskReader::open({&path, 1}, options);
    if (!reader) return reader.error();
    reads->reader_ = std::move(*reader);
    return reads;
  }

  const DiskReader& reader() const { return *reader_; }

  void ask(uint64_t place) {
    if (next_ == order_.size()) {
      next_ = 0;
      if (!reader_->direct(0)) file_.drop_cache();
    }
    disk::Request request;
    request.offset = order_[next_++] * block_;
    request.length = block_;
    request.destination = memory_.get() + place * block_;
    request.cookie = place;
    reader_->submit(request);
  }

  /// Waits for completions and asks again in their places. How many there were; 0: the time has come.
  Result<uint64_t> next(Clock::time_point until, bool ask_again) {
    Completion some[kDepth];
    const size_t count = reader_->poll(some, until);
    for (size_t i = 0; i < count; ++i) {
      if (some[i].status != disk::Status::ok) return Error{Error::Kind::io, reader_->describe(some[i])};
      if (ask_again) ask(some[i].cookie);
    }
    return uint64_t{count};
  }

 private:
  RandomReads(const ScratchFile& file, uint64_t block, uint32_t depth)
      : file_(file),
        block_(block),
        order_(file.size_bytes() / block),
        memory_(static_cast<std::byte*>(::operator new(2 * depth * block, std::align_val_t{kBlock}))) {
    std::iota(order_.begin(), order_.end(), uint64_t{0});
    std::shuffle(order_.begin(), order_.end(), std::mt19937_64(2));
    std::memset(memory_.get(), 0, 2 * depth * block);  // the kernel's first touch would count as reading
  }

  struct Free {
    void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t{kBlock}); }
  };
  const ScratchFile& file_;
  uint64_t block_;
  std::vector<uint64_t> order_;
  size_t next_ = 0;
  std::unique_ptr<std::byte, Free> memory_;
  std::unique_ptr<DiskReader> reader_;  ///< gone first: it writes to the memory
};

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::max(std::chrono::duration<double>(end - begin).count(), 1e-9);
}

Error too_slow() { return {Error::Kind::io, "the disk did not answer within 5 s"}; }

/// Rounds of completed blocks. Those that end first do not count where there is time: they waited for nobody.
class Rounds {
 public:
  Rounds(uint64_t block, Clock::time_point start) : start_(start), begin_(start), rate_{.block_bytes = block} {}

  void add(uint64_t blocks, Clock::time_point now) {
    blocks_ += blocks;
    const bool end_of_warm_up = warming_up_ && blocks_ >= kDepth;
    const bool end_of_round = !warming_up_ && blocks_ >= kDepth && now - begin_ >= kRound;
    // A disk so slow that nothing better comes in time.
    const bool late = speeds_.empty() && blocks_ > 0 && now >= start_ + kAtMost;
    if (end_of_round || late) {
      speeds_.push_back(static_cast<double>(blocks_ * rate_.block_bytes) / seconds_between(begin_, now));
      rate_.bytes += blocks_ * rate_.block_bytes;
    }
    if (end_of_warm_up || end_of_round || late) {
      warming_up_ = false;
      begin_ = now;
      blocks_ = 0;
    }
  }
  bool enough(Clock::time_point now) const {
    return speeds_.size() == kMostRounds || (!speeds_.empty() && now >= start_ + kEnough);
  }
  Rate rate() {
    rate_.rounds = static_cast<uint32_t>(speeds_.size());
    rate_.bytes_per_s = median(std::move(speeds_));
    return rate_;
  }

 private:
  Clock::time_point start_;
  Clock::time_point begin_;  ///< of the round
  bool warming_up_ = true;
  uint64_t blocks_ = 0;  ///< in the round
  Rate rate_;
  std::vector<double> speeds_;
};

Result<Rate> measure_rate(RandomReads& reads, uint64_t block) {
  // Twice the depth, so that the next request is there when one ends, as in the transfer engine.
  for (uint32_t place = 0; place < 2 * kDepth; ++place) reads.ask(place);
  const Clock::time_point start = Clock::now();
  Rounds rounds(block, start);
  for (Clock::time_point now = start; !rounds.enough(now);) {
    if (now >= start + kPatience) return too_slow();
    const Result<uint64_t> ended = reads.next(start + (now < start + kAtMost ? kAtMost : kPatience), true);
    if (!ended) return ended.error();
    now = Clock::now();
    rounds.add(*ended, now);
  }
  return rounds.rate();
}

Result<Latency> measure_latency(RandomReads& reads) {
  std::vector<double> times_us;
  const Clock::time_point start = Clock::now();
  while (times_us.size() < kMostReads && (times_us.empty() || Clock::now() < start + kLatencyTime)) {
    const Clock::time_point begin = Clock::now();
    reads.ask(0);
    for (uint64_t ended = 0; ended == 0;) {
      const Result<uint64_t> some = reads.next(begin + kPatience, false);
      if (!some) return some.error();
      ended = *some;
      if (ended == 0 && Clock::now() >= begin + kPatience) return too_slow();
    }
    times_us.push_back(1e6 * seconds_between(begin, Clock::now()));
  }
  std::sort(times_us.begin(), times_us.end());
  // Nearest rank: the least time that so many percent of the reads do not exceed.
  const auto percentile = [&](size_t percent) { return times_us[(times_us.size() * percent + 99) / 100 - 1]; };
  return Latency{kLatencyBlock, static_cast<uint32_t>(times_us.size()), percentile(50), percentile(99)};
}

/// The reader knows the file by a name that says nothing to a user.
Error in_folder(const Disk& disk, const Error& error) {
  return {error.kind, "cannot measure the disk of `" + disk.folder + "`: " + error.message};
}

Result<void> measure_all(const ScratchFile& file, disk::Engine engine, Disk& disk) {
  for (const uint64_t block : kBlocks) {
    Result<std::unique_ptr<RandomReads>> reads = RandomReads::open(file, block, kDepth, disk, engine);
    if (!reads) return reads.error();
    disk.engine = (*reads)->reader().engine();
    disk.io_uring_refusal = (*reads)->reader().fallback_reason();
    const Result<Rate> rate = measure_rate(**reads, block);
    if (!rate) return rate.error();
    disk.reads.push_back(*rate);
    file.drop_cache();
  }
  Result<std::unique_ptr<RandomReads>> reads = RandomReads::open(file, kLatencyBlock, 1, disk, engine);
  if (!reads) return reads.error();
  const Result<Latency> latency = measure_latency(**reads);
  if (!latency) return latency.error();
  disk.latency = *latency;
  return {};
}

}  // namespace

Result<Disk> measure_disk(const DiskOptions& options) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::canonical(options.folder, error);
  if (error) {
    return Error{Error::Kind::io, "cannot use `" + options.folder + "`: " + error.message() +
                                      "; name a folder that you may write to with --storage DIR"};
  }
  const Result<ScratchFile> file = ScratchFile::make(folder.string(), options.file_bytes, Clock::now() + kWriting);
  if (!file) return file.error();
  Disk disk;
  disk.folder = printable(folder.string());
  disk.file_system = file->file_system();
  disk.file_bytes = file->size_bytes();
  disk.depth = kDepth;
  disk.direct_refusal = direct_refusal(file->path(), disk.file_system);
  try {
    if (Result<void> measured = measure_all(*file, options.engine, disk); !measured) {
      return in_folder(disk, measured.error());
    }
  } catch (const std::bad_alloc&) {
    return Error{Error::Kind::no_memory, "no memory to measure the disk with"};
  }
  return disk;
}

}  // namespace moe::device
