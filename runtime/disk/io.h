// SPDX-License-Identifier: Apache-2.0
// What lies below the scheduler: reads that are under way, and their results in any order.
#pragma once
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "runtime/base/result.h"
#include "runtime/disk/request.h"

namespace moe::disk {

/// One read. `iov` and the memory that it names stay until the result was taken.
struct Read {
  uint32_t tag = 0;  ///< comes back with the result
  int fd = -1;
  uint64_t offset = 0;
  const iovec* iov = nullptr;
  uint32_t num_iov = 0;
  int32_t buffer = -1;  ///< the one iovec lies in this buffer of those that the Io was opened with; -1: it does not
};

struct ReadResult {
  uint32_t tag = 0;
  int32_t result = 0;  ///< bytes, or a negative errno
};

/// Threads  wake: any. The rest: the reader's owner.
class Io {
 public:
  Io() = default;
  Io(const Io&) = delete;
  Io& operator=(const Io&) = delete;
  /// Requires that every read's result was taken.
  virtual ~Io() = default;

  virtual const char* name() const = 0;
  /// At most `depth` reads are under way at once. May only queue it: flush or wait begins it at the latest.
  virtual void start(const Read& read) = 0;
  virtual void flush() = 0;
  /// Takes results; with none there waits for one, a wake or the time, whichever is first. How many were taken. The
  /// clock's epoch as time: only looks.
  virtual size_t wait(std::span<ReadResult> results, Clock::time_point until) = 0;
  /// Ends a wait: the present one, or the next.
  virtual void wake() = 0;
};

/// io_uring. `buffers` are registered where the kernel lets us (RLIMIT_MEMLOCK).
/// Errors: unsupported (the kernel refuses: EPERM, ENOSYS, ENOMEM, or older than 5.11), no_memory.
Result<std::unique_ptr<Io>> open_uring(uint32_t depth, std::span<const iovec> buffers);

/// preadv in `num_threads` threads of its own. Errors: no_memory (no thread left).
Result<std::unique_ptr<Io>> open_pread(uint32_t depth, uint32_t num_threads);

}  // namespace moe::disk
