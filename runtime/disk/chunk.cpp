// SPDX-License-Identifier: Apache-2.0
#include "runtime/disk/chunk.h"

#include <cassert>

namespace moe::disk {
namespace {

bool is_aligned(const void* address) { return reinterpret_cast<uintptr_t>(address) % kBlock == 0; }

}  // namespace

void Chunk::begin(uint32_t file, bool aligned) {
  file_ = file;
  aligned_ = aligned;
  buffer_ = -1;
  num_segments_ = num_iov_ = first_iov_ = 0;
  first_record_ = kNone;
  shared_ = false;
  start_ = done_ = 0;
}

void Chunk::add(uint32_t record, uint64_t offset, uint64_t length, std::byte* destination) {
  if (num_segments_ == 0) first_record_ = record;
  shared_ |= record != first_record_;
  const bool straight = !aligned_ || (offset % kBlock == 0 && is_aligned(destination));
  // The disk writes whole blocks: those that would reach beyond the destination are staged.
  const uint64_t body = !straight ? 0 : aligned_ ? round_down(length) : length;
  if (body != 0) segments_[num_segments_++] = {record, offset, body, destination, false, nullptr};
  if (body == length) return;
  segments_[num_segments_++] = {record, offset + body, length - body, destination + body, true, nullptr};
}

bool Chunk::needs_staging() const {
  for (uint32_t i = 0; i < num_segments_; ++i) {
    if (segments_[i].staged) return true;
  }
  return false;
}

void Chunk::lay_out(int32_t buffer, std::span<std::byte> memory) {
  buffer_ = buffer;
  start_ = segments_[0].staged ? round_down(segments_[0].offset) : segments_[0].offset;
  uint64_t at = start_;  // the file's bytes before it have their place
  for (uint32_t i = 0; i < num_segments_;) {
    if (!segments_[i].staged) {
      push(segments_[i].destination, segments_[i].length);
      at += segments_[i++].length;
      continue;
    }
    const uint64_t run = at;
    for (; i < num_segments_ && segments_[i].staged; ++i) {
      segments_[i].staged_at = memory.data() + (segments_[i].offset - run);
      at = round_up(segments_[i].offset + segments_[i].length);
    }
    assert(at - run <= memory.size() && "a staging buffer holds the staged runs of its chunk");
    push(memory.data(), at - run);
    memory = memory.subspan(at - run);
  }
}

Read Chunk::read(uint32_t tag, int fd) const {
  Read read;
  read.tag = tag;
  read.fd = fd;
  read.offset = position();
  read.iov = iov_ + first_iov_;
  read.num_iov = num_iov_ - first_iov_;
  // All of it is staged, so that the one iovec lies in the buffer.
  if (num_iov_ == 1 && segments_[0].staged) read.buffer = buffer_;
  return read;
}

Chunk::Progress Chunk::advance(uint64_t bytes) {
  if (position() + bytes >= end()) return Progress::done;
  uint64_t whole = aligned_ ? round_down(bytes) : bytes;
  if (whole == 0) return Progress::none;
  done_ += whole;
  while (whole >= iov_[first_iov_].iov_len) whole -= iov_[first_iov_++].iov_len;
  iov_[first_iov_].iov_base = static_cast<std::byte*>(iov_[first_iov_].iov_base) + whole;
  iov_[first_iov_].iov_len -= whole;
  return Progress::some;
}

bool Chunk::shared() const { return shared_; }

}  // namespace moe::disk
