// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/findings.h"

namespace moe::device {
namespace {

constexpr uint64_t kMib = 1 << 20;

std::string mib(uint64_t bytes) {
  return bytes < kMib ? std::to_string(bytes >> 10) + " KiB" : std::to_string(bytes / kMib) + " MiB";
}

void check_memory(const Memory& memory, std::vector<Finding>& findings) {
  // Host tiers are made to be most of the RAM; a page-locked one ends at the limit.
  if (memory.lock_limit_bytes && *memory.lock_limit_bytes < memory.total_bytes / 4) {
    findings.push_back(
        {"locked memory is limited to " + mib(*memory.lock_limit_bytes) + ": a page-locked host tier cannot be larger",
         "run `ulimit -l unlimited` in the shell that starts the engine, or set `memlock` in "
         "/etc/security/limits.conf (containers: --ulimit memlock=-1)"});
  }
  if (memory.available_bytes < memory.total_bytes / 10) {
    findings.push_back({"only " + mib(memory.available_bytes) + " of " + mib(memory.total_bytes) +
                            " RAM are available: the speeds may be those of a machine that swaps",
                        "end what uses the memory, and measure again"});
  }
}

void check_disk(const Disk& disk, std::vector<Finding>& findings) {
  const bool in_memory = disk.file_system == "tmpfs" || disk.file_system == "ramfs";
  if (in_memory) {
    findings.push_back({"`" + disk.folder + "` is in memory (" + disk.file_system + "): its speeds are no disk's",
                        "name a folder on the disk that has the models: --storage DIR"});
  }
  if (!disk.io_uring_refusal.empty()) {
    findings.push_back({disk.io_uring_refusal + "; threads with preads do its work",
                        "set /proc/sys/kernel/io_uring_disabled to 0, and allow io_uring_setup in the container's "
                        "seccomp profile"});
  }
  if (!in_memory && !disk.direct_refusal.empty()) {
    findings.push_back({disk.direct_refusal + ": reads go through the page cache, which costs a copy and memory",
                        "keep models on a local file system that has it, such as ext4 or xfs"});
  }
}

}  // namespace

std::vector<Finding> findings_of(const DeviceProfile& profile) {
  std::vector<Finding> findings;
  check_memory(profile.memory, findings);
  if (profile.disk) {
    check_disk(*profile.disk, findings);
  } else {
    findings.push_back({"the disk was not measured", "name a folder on it that you may write to: --storage DIR"});
  }
#if defined(__x86_64__)
  if (!profile.cpu.avx2) {
    findings.push_back({"the processor has no AVX2: quantized experts are decoded four numbers at a time",
                        "in a virtual machine, let it see the host's processor"});
  }
#endif
  return findings;
}

}  // namespace moe::device
