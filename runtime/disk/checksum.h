// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

namespace moe::disk {

/// The same number as moe::crc32c, with the processor's instruction where it has one: 8 bytes in three cycles instead
/// of one in about five. The table would be slower than the disk.
uint32_t fast_crc32c(const void* data, size_t size, uint32_t crc = 0);

}  // namespace moe::disk
