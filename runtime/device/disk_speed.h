// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime/device/profile.h"
#include "runtime/disk/reader.h"

namespace moe::device {

struct DiskOptions {
  std::string folder = ".";
  uint64_t file_bytes = 256 << 20;
  disk::Engine engine = disk::Engine::automatic;
};

/// Reads a file of its own in `folder` through disk::DiskReader, as the runtime reads experts. Speeds: blocks of 256
/// KiB, 1 and 4 MiB at random places, 8 under way; a round takes 60 ms and at least 8 blocks, and the median of up to 7
/// rounds counts. Latency: 256 KiB, one at a time, up to 200 reads.
///
/// Cost    at most 256 MiB of disk for about two seconds, with no name, so that nothing is left behind; 64 MiB of
/// memory. Errors  io (naming the folder, and what to do), no_memory.
Result<Disk> measure_disk(const DiskOptions& options);

}  // namespace moe::device
