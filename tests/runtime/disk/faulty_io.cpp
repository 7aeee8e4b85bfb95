// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime/disk/faulty_io.h"

#include <algorithm>
#include <cstring>

namespace moe::disk::test {
namespace {

/// Calls f(memory, bytes, position) for the parts of the read's memory.
template <class F>
void for_each_part(const Read& read, F&& f) {
  uint64_t position = 0;
  for (uint32_t i = 0; i < read.num_iov; ++i) {
    f(static_cast<uint8_t*>(read.iov[i].iov_base), read.iov[i].iov_len, position);
    position += read.iov[i].iov_len;
  }
}

void spoil_from(const Read& read, uint64_t first) {
  for_each_part(read, [&](uint8_t* memory, uint64_t bytes, uint64_t position) {
    const uint64_t skip = std::min(bytes, first > position ? first - position : 0);
    std::memset(memory + skip, 0xEE, bytes - skip);
  });
}

}  // namespace

void FaultyIo::start(const Read& read) {
  Op& op = ops_[read.tag];
  op.busy = true;
  op.back = false;
  op.read = read;
  op.fault = plan_(read);
  op.due = Clock::now() + op.fault.delay;
  op.bytes.clear();
  if (op.fault.kind == Fault::Kind::error) {
    op.back = true;
    op.result = -op.fault.error_number;
  } else {
    inner_->start(read);
  }
}

void FaultyIo::answer(Op& op, int32_t result) {
  op.back = true;
  op.result = result;
  if (result <= 0) return;
  const auto length = static_cast<uint64_t>(result);
  if (op.fault.kind == Fault::Kind::shortened) {
    op.result = static_cast<int32_t>(std::min(length, op.fault.number));
    spoil_from(op.read, static_cast<uint64_t>(op.result));
  }
  if (op.fault.kind == Fault::Kind::corrupt) {
    const uint64_t at = op.fault.number % length;
    for_each_part(op.read, [&](uint8_t* memory, uint64_t bytes, uint64_t position) {
      if (at >= position && at < position + bytes) memory[at - position] ^= 0x10;
    });
  }
  if (op.fault.delay == Clock::duration::zero()) return;
  for_each_part(op.read, [&](const uint8_t* memory, uint64_t bytes, uint64_t) {
    op.bytes.insert(op.bytes.end(), memory, memory + bytes);
  });
  spoil_from(op.read, 0);
}

size_t FaultyIo::release(std::span<ReadResult> results) {
  size_t count = 0;
  const Clock::time_point now = Clock::now();
  // From the last: another order than the reads were begun in.
  for (uint32_t tag = static_cast<uint32_t>(ops_.size()); tag-- > 0 && count < results.size();) {
    Op& op = ops_[tag];
    if (!op.busy || !op.back || now < op.due) continue;
    if (!op.bytes.empty()) {
      for_each_part(op.read, [&](uint8_t* memory, uint64_t bytes, uint64_t position) {
        std::memcpy(memory, op.bytes.data() + position, bytes);
      });
    }
    op.busy = false;
    results[count++] = {tag, op.result};
  }
  return count;
}

size_t FaultyIo::wait(std::span<ReadResult> results, Clock::time_point until) {
  if (const size_t count = release(results); count != 0) {
    inner_->flush();
    return count;
  }
  for (const Op& op : ops_) {
    if (op.busy && op.back) until = std::min(until, op.due);
  }
  std::array<ReadResult, 64> some;
  const size_t got = inner_->wait(some, until);
  for (size_t i = 0; i < got; ++i) answer(ops_[some[i].tag], some[i].result);
  return release(results);
}

}  // namespace moe::disk::test
