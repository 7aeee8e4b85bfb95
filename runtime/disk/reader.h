// SPDX-License-Identifier: Apache-2.0
// The disk as a link of the transfer engine: extents of files go to host memory, the urgent ones first.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "runtime/base/memory.h"
#include "runtime/base/result.h"
#include "runtime/disk/chunk.h"
#include "runtime/disk/files.h"
#include "runtime/disk/io.h"
#include "runtime/disk/pace.h"
#include "runtime/disk/request.h"
#include "runtime/disk/request_table.h"
#include "runtime/disk/staging.h"

namespace moe::disk {

enum class Engine : uint8_t {
  automatic,  ///< io_uring, or preads where the kernel refuses it
  uring,
  pread,
};

struct Options {
  Engine engine = Engine::automatic;
  bool direct = true;           ///< O_DIRECT where the file system takes it
  uint32_t depth = 8;           ///< reads under way at once, 1 to 64
  uint32_t pread_threads = 4;   ///< of Engine::pread, 1 to 64
  uint32_t num_requests = 256;  ///< that are not reported yet, 1 to 65536
  /// Bytes of one read at most, and what a demand waits for at most when others are under way; a multiple of 4096,
  /// 64 KiB to 1 GiB.
  uint64_t chunk_bytes = 1 << 20;
  uint32_t staging_buffers = 8;  ///< of chunk_bytes + 8192 each, 1 to 64; reads that need one wait for it
  /// Where the staging pool comes from: pinned memory, for a device. None: mapped pages.
  std::optional<Allocator> staging_memory;
  double prefetch_share = 1;  ///< of the link's time, (0, 1]
  uint64_t bytes_per_s = 0;   ///< the link carries no more; 0: what the disk gives. For tests and experiments
  /// A read that takes longer ends its requests as timed_out, whatever their deadlines.
  Clock::duration stall_limit = std::chrono::seconds(10);
  /// Puts something between the scheduler and the disk: faults, in tests.
  std::function<std::unique_ptr<Io>(std::unique_ptr<Io>)> wrap_io;
};

/// What the reader did so far. Relaxed: numbers, not signals.
struct Counters {
  std::atomic<uint64_t> reads{0};         ///< chunks
  std::atomic<uint64_t> bytes{0};         ///< of them, from first to last; what is read again counts again
  std::atomic<uint64_t> coalesced{0};     ///< requests that shared a chunk with the one before them
  std::atomic<uint64_t> deduplicated{0};  ///< requests that another one's read served
  std::atomic<uint64_t> short_reads{0};
  std::atomic<uint64_t> retries{0};  ///< reads that failed and were tried again
  std::atomic<uint64_t> rereads{0};  ///< extents read again because of their checksum
  std::atomic<uint64_t> timeouts{0};
};

/// Reads extents of a fixed set of files.
///
/// Order    demand before background before prefetch, then the greater priority, then the earlier deadline, then first
///          come first served. Reads go in chunks. Of background and prefetch no more than one chunk's bytes are under
///          way, in quarters, and none is begun while an earlier class has anything to read or under way: so a demand
///          waits for at most one chunk of theirs, and for the up to `depth` chunks of demands begun before it. With
///          bytes_per_s one chunk is under way at a time.
/// Sharing  extents of one class that follow each other in a file (up to the next multiple of 4096) become one read, up
///          to the chunk's size. An extent that is asked for again while it is being read is read once and copied.
/// Errors   a read that fails is tried once more; a shared one then goes on separately, so that only the extent with
/// the
///          bad sector fails. A wrong checksum has the extent read once more. Short reads go on where they ended.
///          O_DIRECT refused by a read (EINVAL) makes the file buffered. describe() says what happened, with file and
///          extent.
/// Memory   all of it is allocated by open: nothing afterwards, except in describe().
/// Threads  submit, cancel, promote, wake, set_prefetch_share, counters: any thread, any number of them at once; a few
///          atomic operations, and one system call when the owner sleeps. poll, and destruction: the owner, one thread
///          at a time, which does all the work: it begins reads, takes results, copies and sums. With io_uring no other
///          thread exists; preads have `pread_threads` of their own. The kernel may cancel the reads of a thread that
///          ends, so the owner should live as long as its reads do (they are retried).
/// End      the destructor waits for the reads that are under way, as long as the kernel needs: it writes into memory
///          that the caller is about to free. What was not begun is dropped. No completions come.
class DiskReader {
 public:
  /// Errors: io (naming the file), invalid (options), unsupported (Engine::uring and the kernel refuses), no_memory.
  static Result<std::unique_ptr<DiskReader>> open(std::span<const std::string> paths, const Options& options = {});
  DiskReader(const DiskReader&) = delete;
  DiskReader& operator=(const DiskReader&) = delete;
  ~DiskReader();

  /// Asks for an extent. kNoRequest: all requests are in use; poll first. What is wrong with the request itself comes
  /// back as its completion. `wake_owner` false: no system call; a sleeping owner finds the request when its poll ends.
  RequestId submit(const Request& request, bool wake_owner = true);
  /// Nobody wants it any more. Its completion (cancelled, or another if it had ended before) comes when the destination
  /// is free; a request that waits behind it for the same extent takes over. Of ended requests: nothing.
  void cancel(RequestId id, bool wake_owner = true);
  /// Raises class and priority, also of what is under way; never lowers the class.
  void promote(RequestId id, Class cls, uint16_t priority = 0, bool wake_owner = true);
  /// Ends the present poll, or the next one.
  void wake();

  /// Does the work until there are completions, or the time has come, or someone called wake. How many were written
  /// to `completions`, which must have room for one. A time in the past: only what can be done without waiting.
  size_t poll(std::span<Completion> completions, Clock::time_point until);

  /// One line, lower case, no final period. Allocates.
  std::string describe(const Completion& completion) const;

  /// (0, 1]; other values are 1.
  void set_prefetch_share(double share);
  const Counters& counters() const { return counters_; }
  const char* engine() const { return io_->name(); }
  /// Why Engine::automatic did not take io_uring; empty if it did.
  const std::string& fallback_reason() const { return fallback_reason_; }
  /// The owner.
  bool direct(uint32_t file) const { return files_.direct(file); }
  uint64_t size_bytes(uint32_t file) const { return files_.size_bytes(file); }

 private:
  struct Flight {
    bool busy = false;          ///< the chunk is in use
    bool held = false;          ///< its result is there, and has not crossed the limited link
    bool direct = false;        ///< the file had O_DIRECT when it was sent
    Class cls = Class::demand;  ///< when it was begun
    uint8_t failures = 0;
    uint8_t interruptions = 0;
    int32_t result = 0;
    Clock::time_point sent{};
    Clock::time_point due{};
    Chunk chunk;
  };

  DiskReader(FileSet files, const Options& options);
  Result<void> open_io(const Options& options);

  // reader.cpp: the loop
  void work(Clock::time_point now);
  void wait(uint32_t seen, Clock::time_point until);
  void notify(bool wake_owner);
  Clock::time_point next_timer() const;
  size_t report(std::span<Completion> completions);

  // schedule.cpp: what is read next
  void issue(Clock::time_point now);
  uint32_t most_urgent() const;
  bool may_start(const Record& record, Clock::time_point now) const;
  bool start_chunk(uint32_t record, Clock::time_point now);
  void plan(Chunk& chunk, uint32_t record) const;
  uint32_t neighbour(const Chunk& chunk, Class cls) const;
  uint64_t limit(Class cls) const;
  void send(uint32_t flight, Clock::time_point now);
  bool is_stuck(const Flight& flight, Clock::time_point now) const;

  // arrive.cpp: what became of reads
  void arrive(uint32_t flight, int32_t result, Clock::time_point now);
  void land(uint32_t flight, Status failure, int error_number, Clock::time_point now);
  bool wanted(const Chunk& chunk) const;
  void settle(uint32_t record);
  void sum_up(Record& record, uint32_t index);
  void complete(uint32_t record);
  void drain(uint32_t record);
  void drained(uint32_t record);

  // requests.cpp: the life of requests
  void adopt(uint32_t record);
  void obey(uint32_t record);
  bool follow(uint32_t record);
  void unfollow(uint32_t record);
  void urge(uint32_t record, Class cls, uint16_t priority, Clock::time_point deadline);
  void hand_over(uint32_t record);
  void give_up(uint32_t record, Status status);
  void expire(Clock::time_point now);
  void finish(uint32_t record);
  void finish_group(uint32_t leader);

  FileSet files_;
  const uint32_t depth_;
  const uint64_t chunk_bytes_;
  const Clock::duration stall_limit_;
  StagingPool staging_;
  RequestTable records_;
  Array<Flight> flights_;
  Array<ReadResult> results_;
  Pace pace_;
  Counters counters_;
  std::atomic<double> prefetch_share_;
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> woken_{false};
  Clock::time_point issue_again_at_ = kNever;  ///< when a chunk that had to wait for the link may start
  std::string fallback_reason_;
  std::unique_ptr<Io> io_;  ///< the last member: gone before what its threads write to
};

}  // namespace moe::disk
