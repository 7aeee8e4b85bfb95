// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/disk/files.h"
#include "runtime/disk/io.h"

namespace moe::disk {

inline constexpr uint32_t kNone = 0xFFFFFFFFu;

/// Bytes of one request in a chunk.
struct Segment {
  uint32_t record = kNone;  ///< kNone: its request does not want them any more
  uint64_t offset = 0;      ///< in the file
  uint64_t length = 0;
  std::byte* destination = nullptr;
  bool staged = false;
  const std::byte* staged_at = nullptr;
};

/// One read of the disk: a run of a file that holds bytes of one request or of several neighbours.
///
/// Built by begin, add (file offsets ascending) and lay_out; then sent, perhaps several times, until advance says that
/// all is there.
///
/// Invariant  in an aligned chunk (for O_DIRECT) every iovec's address and length and the file offset are multiples of
///            kBlock: bytes that cannot go straight to their destination share staged runs that are rounded out to
///            whole blocks. Another chunk has no staged segment.
/// Memory     a staging buffer of size_bytes() + 2 * kBlock holds all its staged runs.
class Chunk {
 public:
  static constexpr uint32_t kMostSegments = 32;

  void begin(uint32_t file, bool aligned);
  /// Whether two more segments fit: what add needs at most.
  bool has_room() const { return num_segments_ + 2 <= kMostSegments; }
  void add(uint32_t record, uint64_t offset, uint64_t length, std::byte* destination);
  /// Whether an extent that begins there continues the run.
  bool continues_at(uint64_t offset) const { return offset == end() || (aligned_ && offset == round_up(end())); }
  bool needs_staging() const;
  /// `buffer`: of the staging pool, -1 for none; `memory`: that buffer.
  void lay_out(int32_t buffer, std::span<std::byte> memory);

  /// The read of what is missing.
  Read read(uint32_t tag, int fd) const;
  enum class Progress : uint8_t { done, some, none };
  /// A read brought that many bytes.
  Progress advance(uint64_t bytes);
  /// Where the next read begins.
  uint64_t position() const { return start_ + done_; }

  uint32_t file() const { return file_; }
  uint64_t end() const { return segments_[num_segments_ - 1].offset + segments_[num_segments_ - 1].length; }
  /// From the first byte to the last, padding between neighbours included.
  uint64_t size_bytes() const { return end() - segments_[0].offset; }
  int32_t buffer() const { return buffer_; }
  Segment* segments() { return segments_; }
  const Segment* segments() const { return segments_; }
  uint32_t num_segments() const { return num_segments_; }
  /// Whether it was begun for several requests.
  bool shared() const;

 private:
  void push(void* base, uint64_t length) { iov_[num_iov_++] = {base, length}; }

  uint32_t file_ = 0;
  bool aligned_ = false;
  int32_t buffer_ = -1;
  uint32_t num_segments_ = 0;
  uint32_t num_iov_ = 0;
  uint32_t first_iov_ = 0;  ///< those before it are full
  uint32_t first_record_ = kNone;
  bool shared_ = false;
  uint64_t start_ = 0;  ///< file offset of the first iovec
  uint64_t done_ = 0;   ///< bytes that are there
  Segment segments_[kMostSegments];
  iovec iov_[kMostSegments];
};

}  // namespace moe::disk
