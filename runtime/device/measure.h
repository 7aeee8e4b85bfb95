// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime/device/disk_speed.h"
#include "runtime/device/memory_speed.h"

namespace moe::device {

struct MeasureOptions {
  std::string name;  ///< of the profile; empty: the host's
  MemoryOptions memory;
  std::optional<DiskOptions> disk = DiskOptions{};  ///< none: not measured
};

/// Measures this machine, in about three seconds, by a monotonic clock. Other work on it makes it slower.
/// Errors: those of read_cpu, read_memory, measure_memory, measure_disk.
Result<DeviceProfile> measure(const MeasureOptions& options);

}  // namespace moe::device
