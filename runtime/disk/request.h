// SPDX-License-Identifier: Apache-2.0
// What is asked of a DiskReader, and what comes back.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>

namespace moe::disk {

using Clock = std::chrono::steady_clock;
inline constexpr Clock::time_point kNever = Clock::time_point::max();

/// Who waits for the bytes. Nothing of a later class is begun while an earlier one has something to read or under way.
enum class Class : uint8_t {
  demand,      ///< somebody waits
  background,  ///< will be used: loads behind the CPU's work, pins
  prefetch,    ///< may be used; takes only its share of the link's time
};

/// One extent of one file, to one place in memory.
struct Request {
  uint32_t file = 0;    ///< place in the list of paths that the reader was opened on
  uint64_t offset = 0;  ///< bytes; any, but multiples of 4096 need no staging
  uint64_t length = 0;  ///< bytes, > 0; the extent ends within the file
  /// Host memory of `length` bytes, the reader's until the completion that says `destination_released`. Any alignment:
  /// bytes go straight into it where file offset and address are multiples of 4096, else through the staging pool. A
  /// file without O_DIRECT needs no staging at all.
  void* destination = nullptr;
  std::optional<uint32_t> crc32c;  ///< of the extent's bytes; none: not checked
  Class cls = Class::demand;
  uint16_t priority = 0;                ///< within a class the greater goes first
  Clock::time_point deadline = kNever;  ///< then the earlier; past it the request is reported as timed_out
  uint64_t cookie = 0;                  ///< comes back in the completion
};

/// Names a request from submit to its last completion; never used again after that. 0: none.
using RequestId = uint64_t;
inline constexpr RequestId kNoRequest = 0;

enum class Status : uint8_t {
  ok,
  invalid,      ///< no such file, no bytes, no destination, or the extent is beyond the end that the file had at open
  io_error,     ///< `error_number`, twice
  end_of_file,  ///< the file has become shorter
  mismatch,     ///< the checksum was wrong twice
  timed_out,    ///< the deadline passed, or the disk did not answer within Options::stall_limit
  cancelled,
  released,  ///< not an outcome: what a timed_out request left to the kernel is the caller's again
};

/// What became of a request. On any status but ok the destination's contents are unspecified.
struct Completion {
  RequestId id = kNoRequest;
  uint64_t cookie = 0;
  Status status = Status::ok;
  /// Whether nobody writes to the destination any more. False only with timed_out, while the kernel still holds it; a
  /// second completion, `released`, follows when it does not.
  bool destination_released = true;
  int error_number = 0;
  uint32_t file = 0;
  uint64_t offset = 0;  ///< the extent
  uint64_t length = 0;
  uint64_t failed_at = 0;        ///< io_error, end_of_file: offset in the file of the read that failed
  uint32_t expected_crc32c = 0;  ///< mismatch
  uint32_t found_crc32c = 0;
};

}  // namespace moe::disk
