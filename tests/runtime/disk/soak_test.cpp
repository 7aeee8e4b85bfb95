// SPDX-License-Identifier: Apache-2.0
// Random requests, orders and faults, from seeds. Whatever happens: every request ends exactly once, for a reason that
// was given; what ended well are the file's bytes; nobody writes to a destination that was given back.
//   MOE_TEST_SECONDS  how long (3)         MOE_TEST_SEED  where to begin (1)
#include <doctest/doctest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <random>
#include <thread>

#include "tests/runtime/disk/faulty_io.h"
#include "tests/runtime/disk/support.h"

namespace moe::disk::test {
namespace {

uint64_t number_from(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t below(uint64_t n) { return engine_() % n; }
  bool chance(uint64_t percent) { return below(100) < percent; }

 private:
  std::mt19937_64 engine_;
};

struct Extent {
  uint32_t file;
  uint64_t offset, length;
};

/// Which faults a round has, in percent of reads.
struct Rates {
  uint64_t error, interrupted, shortened, corrupt, late, stalled;
};

constexpr uint64_t kFileBytes = (3 << 20) + 777;
constexpr auto kStallLimit = milliseconds(250);

class Round {
 public:
  Round(const std::vector<std::unique_ptr<TestFile>>& files, uint64_t seed)
      : files_(files), random_(seed), fault_random_(seed + 1) {
    const bool harmless = random_.chance(20);
    rates_ = harmless ? Rates{} : Rates{random_.below(8), random_.below(8),  random_.below(20),
                                        random_.below(6), random_.below(40), random_.below(2)};
    const Variant& variant = kVariants[random_.below(4)];
    Options options = options_for(variant);
    options.depth = static_cast<uint32_t>(1 + random_.below(10));
    options.chunk_bytes = (16 + random_.below(64)) * 4096;
    options.staging_buffers = static_cast<uint32_t>(1 + random_.below(4));
    options.num_requests = num_requests_ = static_cast<uint32_t>(4 + random_.below(40));
    options.pread_threads = static_cast<uint32_t>(1 + random_.below(4));
    options.prefetch_share = random_.chance(50) ? 1 : 0.5;
    options.bytes_per_s = random_.chance(20) ? 200'000'000 : 0;
    options.stall_limit = kStallLimit;
    options.wrap_io = [this](std::unique_ptr<Io> io) {
      return std::make_unique<FaultyIo>(std::move(io), [this](const Read& read) { return fault(read); });
    };
    reader_ = open_reader({files[0]->path(), files[1]->path()}, options);
    for (uint64_t i = 0; i < 60; ++i) extents_.push_back(random_extent());
  }

  void run();

 private:
  struct Asked {
    Extent extent;
    std::unique_ptr<Destination> to;
    bool has_deadline = false;
    bool done = false;  ///< its outcome was reported
    bool given_back = false;
  };

  Extent random_extent() {
    Extent extent{static_cast<uint32_t>(random_.below(2)), 0, 0};
    if (!extents_.empty() && random_.chance(50)) {  // a neighbour of one that is there
      const Extent& other = extents_[random_.below(extents_.size())];
      extent = {other.file, random_.chance(50) ? other.offset + other.length : round_up(other.offset + other.length),
                0};
    } else {
      extent.offset = random_.below(kFileBytes - 4096) & ~(random_.chance(60) ? kBlock - 1 : 0);
    }
    if (extent.offset >= kFileBytes) extent.offset = 0;
    const uint64_t wanted = random_.chance(60) ? (1 + random_.below(30)) * 4096 : 1 + random_.below(300'000);
    extent.length = std::min(wanted, kFileBytes - extent.offset);
    return extent;
  }

  Fault fault(const Read&) {
    Random& r = fault_random_;
    Fault fault;
    if (r.chance(rates_.error)) return {Fault::Kind::error, EIO, 0, {}};
    if (r.chance(rates_.interrupted)) return {Fault::Kind::error, r.chance(50) ? EAGAIN : EINTR, 0, {}};
    if (r.chance(rates_.shortened)) {
      fault = {Fault::Kind::shortened, 0, 1 + r.below(200'000), {}};
    } else if (r.chance(rates_.corrupt)) {
      fault = {Fault::Kind::corrupt, 0, r.below(1 << 20), {}};
    }
    if (r.chance(rates_.late)) fault.delay = std::chrono::microseconds(r.below(3000));
    if (r.chance(rates_.stalled)) fault.delay = kStallLimit * (r.chance(50) ? 2 : 1) / 2 + milliseconds(r.below(200));
    return fault;
  }

  bool ask(uint64_t cookie);
  void disturb(uint64_t seed);
  void take(Clock::time_point until);
  void judge(const Completion& completion);

  const std::vector<std::unique_ptr<TestFile>>& files_;
  Random random_;
  Random fault_random_;
  Rates rates_{};
  uint32_t num_requests_ = 0;
  std::vector<Extent> extents_;
  std::vector<Asked> asked_;
  size_t num_done_ = 0;
  size_t num_held_ = 0;  ///< timed out, not given back
  std::unique_ptr<DiskReader> reader_;
  std::atomic<RequestId> recent_[8]{};
  std::atomic<bool> over_{false};
  std::atomic<bool> any_cancelled_{false};
};

bool Round::ask(uint64_t cookie) {
  Asked asked;
  asked.extent = extents_[random_.below(extents_.size())];
  const Extent& extent = asked.extent;
  const TestFile& file = *files_[extent.file];
  asked.to = std::make_unique<Destination>(extent.length, random_.chance(50) ? 0 : random_.below(4096));
  Request request = request_for(extent.offset, extent.length, *asked.to, cookie);
  request.file = extent.file;
  // Without a sum a corrupt read is not found, by anybody.
  if (rates_.corrupt != 0 || random_.chance(50)) request.crc32c = file.crc32c_of(extent.offset, extent.length);
  request.cls = static_cast<Class>(random_.below(3));
  request.priority = static_cast<uint16_t>(random_.below(3));
  asked.has_deadline = random_.chance(15);
  if (asked.has_deadline) request.deadline = Clock::now() + std::chrono::microseconds(random_.below(8000));
  const RequestId id = reader_->submit(request);
  if (id == kNoRequest) return false;
  recent_[cookie % 8].store(id);
  asked_.push_back(std::move(asked));
  return true;
}

/// Another thread's orders about requests that may have ended already.
void Round::disturb(uint64_t seed) {
  Random random(seed);
  while (!over_.load()) {
    const RequestId id = recent_[random.below(8)].load();
    if (random.chance(50)) reader_->promote(id, static_cast<Class>(random.below(3)), 1);
    if (random.chance(10)) {
      any_cancelled_.store(true);
      reader_->cancel(id);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(500)));
  }
}

void Round::judge(const Completion& completion) {
  REQUIRE(completion.cookie < asked_.size());
  Asked& asked = asked_[completion.cookie];
  CHECK(!asked.given_back);
  if (completion.status == Status::released) {
    CHECK((asked.done && completion.destination_released));
    --num_held_;
  } else {
    CHECK(!asked.done);
    asked.done = true;
    ++num_done_;
    if (!completion.destination_released) ++num_held_;
  }
  const Extent& extent = asked.extent;
  switch (completion.status) {
    case Status::ok:
      CHECK(asked.to->holds(*files_[extent.file], extent.offset));
      break;
    case Status::io_error:
      CHECK(rates_.error + rates_.interrupted > 0);
      break;
    case Status::end_of_file:  // two reads that brought less than a block
      CHECK(rates_.shortened > 0);
      break;
    case Status::mismatch:
      CHECK(rates_.corrupt > 0);
      break;
    case Status::timed_out:
      CHECK((asked.has_deadline || rates_.stalled > 0));
      break;
    case Status::cancelled:
      CHECK(any_cancelled_.load());
      break;
    case Status::invalid:
      CHECK_MESSAGE(false, reader_->describe(completion));
      break;
    case Status::released:
      break;
  }
  CHECK(asked.to->guards_are_whole());
  asked.given_back = completion.destination_released;
  if (asked.given_back) asked.to->fill(0x5C);
}

void Round::take(Clock::time_point until) {
  Completion some[5];
  const size_t count = reader_->poll(some, until);
  for (size_t i = 0; i < count; ++i) judge(some[i]);
}

void Round::run() {
  std::thread other([this, seed = random_.below(1 << 30)] { disturb(seed); });
  constexpr size_t kRequests = 150;
  while (asked_.size() < kRequests) {
    const uint64_t burst = 1 + random_.below(num_requests_);
    for (uint64_t i = 0; i < burst && asked_.size() < kRequests; ++i) {
      if (!ask(asked_.size())) break;
    }
    take(random_.chance(30) ? Clock::time_point{} : Clock::now() + milliseconds(2));
  }
  const Clock::time_point end = Clock::now() + seconds(60);
  while ((num_done_ < kRequests || num_held_ != 0) && Clock::now() < end) take(Clock::now() + milliseconds(100));
  over_.store(true);
  other.join();
  CHECK(num_done_ == kRequests);
  CHECK(num_held_ == 0);
  reader_.reset();
  for (const Asked& asked : asked_) CHECK((asked.to->is_filled_with(0x5C) && asked.to->guards_are_whole()));
}

TEST_CASE("random requests, orders and faults") {
  std::vector<std::unique_ptr<TestFile>> files;
  files.push_back(std::make_unique<TestFile>(kFileBytes, 100));
  files.push_back(std::make_unique<TestFile>(kFileBytes, 101));
  const Clock::time_point end = Clock::now() + seconds(number_from("MOE_TEST_SECONDS", 3));
  uint64_t seed = number_from("MOE_TEST_SEED", 1);
  uint64_t rounds = 0;
  for (; Clock::now() < end || rounds == 0; ++seed, ++rounds) {
    CAPTURE(seed);
    Round(files, seed).run();
  }
  MESSAGE(rounds << " rounds of 150 requests");
}

}  // namespace
}  // namespace moe::disk::test
