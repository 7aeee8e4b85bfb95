// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

namespace moe::store {

/// CRC-32C of whole experts and files: the same value as moe::crc32c, by the processor's instruction where it has one
/// (about 8 GB/s). `crc` continues an earlier result.
uint32_t checksum(const void* data, size_t size, uint32_t crc = 0);

}  // namespace moe::store
