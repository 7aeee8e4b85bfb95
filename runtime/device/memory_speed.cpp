// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/memory_speed.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <set>

#include "runtime/backend/host.h"
#include "runtime/base/memory.h"

namespace moe::device {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kKib = 1 << 10;
constexpr uint64_t kMib = 1 << 20;
constexpr uint64_t kSizes[] = {64 * kKib, 256 * kKib, kMib, 4 * kMib, 16 * kMib, 64 * kMib};
constexpr uint64_t kRoundBytes = 32 * kMib;
constexpr uint32_t kLeastRounds = 3;
constexpr uint32_t kMostRounds = 9;

/// `copy(offset, size)` copies that part of the pool.
template <class Copy>
Rate measure_row(uint64_t block, uint64_t pool, std::chrono::milliseconds limit, const Copy& copy) {
  const uint64_t blocks_in_pool = pool / block;
  const uint64_t blocks = std::max<uint64_t>(1, kRoundBytes / block);
  Rate rate{.block_bytes = block};
  std::vector<double> speeds;
  uint64_t next = 0;
  const Clock::time_point end = Clock::now() + limit;
  while (speeds.size() < kLeastRounds || (speeds.size() < kMostRounds && Clock::now() < end)) {
    const Clock::time_point begin = Clock::now();
    for (uint64_t i = 0; i < blocks; ++i) {
      copy(next * block, block);
      next = (next + 1) % blocks_in_pool;
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    speeds.push_back(static_cast<double>(blocks * block) / std::max(seconds, 1e-9));
    rate.bytes += blocks * block;
  }
  rate.rounds = static_cast<uint32_t>(speeds.size());
  rate.bytes_per_s = median(std::move(speeds));
  return rate;
}

template <class Copy>
std::vector<Rate> measure_table(const MemoryOptions& options, uint64_t pool, const Copy& copy) {
  std::set<uint64_t> sizes(std::begin(kSizes), std::end(kSizes));
  sizes.insert(options.expert_bytes);
  std::vector<Rate> table;
  for (const uint64_t size : sizes) {
    if (size <= pool) table.push_back(measure_row(size, pool, options.row_limit, copy));
  }
  return table;
}

std::vector<Rate> measure_host_copy(const MemoryOptions& options, uint64_t pool, const std::byte* source) {
  const Block target({}, pool);
  std::memset(target.data(), 2, pool);
  return measure_table(options, pool, [&](uint64_t offset, uint64_t size) {
    std::memcpy(target.bytes() + offset, source + offset, size);
    // Nobody reads the target: without this the compiler may leave the copy out.
    asm volatile("" : : "r"(target.data()) : "memory");
  });
}

Result<std::vector<Rate>> measure_link(const MemoryOptions& options, uint64_t pool, const std::byte* source) {
  backend::HostBackend host{Allocator{}};
  const Result<void*> tier = host.allocate(1, pool);
  if (!tier) return tier.error();
  std::memset(*tier, 2, pool);
  std::optional<Error> failure;
  std::vector<Rate> table = measure_table(options, pool, [&](uint64_t offset, uint64_t size) {
    Result<void> copied = host.start_copy(0, offset, source + offset, size, true);
    if (copied) copied = host.finish_copy(0);
    if (!copied) failure = copied.error();
  });
  if (failure) return *failure;
  return table;
}

}  // namespace

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Result<void> check(const MemoryOptions& options) {
  if (options.expert_bytes < 4 * kKib || options.expert_bytes > 1024 * kMib) {
    return Error{Error::Kind::invalid, "an expert of 4 KiB to 1 GiB is measured"};
  }
  return {};
}

Result<MemorySpeed> measure_memory(const MemoryOptions& options, uint64_t available_bytes) {
  if (Result<void> good = check(options); !good) return good.error();
  const uint64_t pool = std::min(std::max(options.pool_bytes, options.expert_bytes), available_bytes / 8);
  if (pool < options.expert_bytes || pool < kSizes[0]) {
    return Error{Error::Kind::no_memory, "no memory to measure with: " + std::to_string(available_bytes >> 20) +
                                             " MiB are available, and two experts in a quarter of it are needed"};
  }
  try {
    const Block source({}, pool);
    // Pages that were never written are all the same one.
    std::memset(source.data(), 1, pool);
    MemorySpeed speed;
    speed.host_copy = measure_host_copy(options, pool, source.bytes());
    Result<std::vector<Rate>> link = measure_link(options, pool, source.bytes());
    if (!link) return link.error();
    speed.link = std::move(*link);
    return speed;
  } catch (const std::bad_alloc&) {
    return Error{Error::Kind::no_memory, "no memory to measure with"};
  }
}

}  // namespace moe::device
