// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/measure.h"

#include "moe/moe.h"
#include "runtime/device/machine.h"

namespace moe::device {

Result<DeviceProfile> measure(const MeasureOptions& options) {
  if (Result<void> good = check(options.memory); !good) return good.error();
  DeviceProfile profile;
  profile.name = options.name.empty() ? host_name() : printable(options.name);
  profile.date = utc_date();
  profile.build = "moe " + std::to_string(MOE_VERSION_MAJOR) + "." + std::to_string(MOE_VERSION_MINOR) + "." +
                  std::to_string(MOE_VERSION_PATCH);
  Result<Cpu> cpu = read_cpu();
  if (!cpu) return cpu.error();
  profile.cpu = std::move(*cpu);
  const Result<Memory> memory = read_memory();
  if (!memory) return memory.error();
  profile.memory = *memory;
  // The disk first: whether it can be measured is known at once.
  if (options.disk) {
    Result<Disk> disk = measure_disk(*options.disk);
    if (!disk) return disk.error();
    profile.disk = std::move(*disk);
  }
  Result<MemorySpeed> speed = measure_memory(options.memory, profile.memory.available_bytes);
  if (!speed) return speed.error();
  profile.expert_bytes = options.memory.expert_bytes;
  profile.host_copy = std::move(speed->host_copy);
  profile.link = std::move(speed->link);
  profile.backend = "host";
  profile.no_devices = "CUDA devices are not measured";
  return profile;
}

}  // namespace moe::device
