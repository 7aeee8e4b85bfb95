// SPDX-License-Identifier: Apache-2.0
// What a machine can do: the numbers by which plans and cost models choose. docs/device-profile.md has the file.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace moe::device {

inline constexpr uint32_t kProfileVersion = 1;

/// A speed in blocks of one size: the median of the rounds' speeds.
struct Rate {
  uint64_t block_bytes = 0;  ///< > 0
  double bytes_per_s = 0;    ///< finite, > 0
  uint32_t rounds = 0;       ///< > 0
  uint64_t bytes = 0;        ///< moved in all rounds together, > 0
  bool operator==(const Rate&) const = default;
};

struct Cpu {
  std::string name;
  uint32_t cores = 0;  ///< logical ones that this process may run on, > 0
  bool avx2 = false;   ///< these three: the processor has it and the kernel saves its registers
  bool avx512 = false;
  bool amx = false;
  bool operator==(const Cpu&) const = default;
};

struct Memory {
  uint64_t total_bytes = 0;      ///< > 0
  uint64_t available_bytes = 0;  ///< to new processes without swapping, when it was asked
  uint64_t page_bytes = 0;       ///< > 0
  /// What a process may lock, and so pin for a device; RLIMIT_MEMLOCK. None: no limit, or this process is exempt.
  std::optional<uint64_t> lock_limit_bytes;
  bool operator==(const Memory&) const = default;
};

/// Time of one read at a time, at random places.
struct Latency {
  uint64_t block_bytes = 0;  ///< > 0
  uint32_t reads = 0;        ///< > 0; with fewer than 100 p99 is the slowest
  double p50_us = 0;         ///< finite, > 0
  double p99_us = 0;         ///< >= p50_us
  bool operator==(const Latency&) const = default;
};

struct Disk {
  std::string folder;            ///< absolute
  std::string file_system;       ///< ext, xfs, ...; the magic number in hexadecimal for others
  uint64_t file_bytes = 0;       ///< of the file that was read, > 0
  std::string engine;            ///< io_uring or pread
  std::string io_uring_refusal;  ///< why it cannot be used; empty: it was
  std::string direct_refusal;    ///< likewise O_DIRECT
  uint32_t depth = 0;            ///< reads under way at once, of `reads`; > 0
  std::vector<Rate> reads;       ///< ascending by block, at least one
  Latency latency;
  bool operator==(const Disk&) const = default;
};

/// The measured machine.
struct DeviceProfile {
  std::string name;
  std::string date;   ///< UTC, "2026-01-31T12:00:00Z"
  std::string build;  ///< version of what measured
  Cpu cpu;
  Memory memory;
  uint64_t expert_bytes = 0;         ///< a block size that both tables have
  std::vector<Rate> host_copy;       ///< one thread, from memory to memory; ascending by block
  std::vector<Rate> link;            ///< host memory to the fast tier of `backend`; ascending by block
  std::string backend;               ///< "host"
  std::optional<Disk> disk;          ///< none: no folder could be written to, or nobody asked
  std::vector<std::string> devices;  ///< accelerators; empty: `no_devices` says why
  std::string no_devices;
  bool operator==(const DeviceProfile&) const = default;
};

/// The row of a table for blocks of that size; nullptr: it has none.
const Rate* find_rate(const std::vector<Rate>& table, uint64_t block_bytes);

/// JSON, indented, with a newline at the end. Bytes that are not UTF-8 are replaced.
std::string to_json(const DeviceProfile& profile);

/// `where` begins messages: a file's name. Members that it does not know are ignored.
/// Errors: format, with the path of the member that is missing or wrong.
Result<DeviceProfile> parse_profile(std::string_view text, const std::string& where);

/// Errors: io (naming the file); else as parse_profile.
Result<DeviceProfile> read_profile(const std::string& path);

}  // namespace moe::device
