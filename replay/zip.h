// SPDX-License-Identifier: Apache-2.0
// Just enough of the zip container (APPNOTE 6.3) for NumPy's .npz: stored and deflated members, zip64.
#pragma once
#include <string>
#include <vector>

#include "replay/bytes.h"
#include "runtime/base/result.h"

namespace moe::replay {

/// A member as the central directory describes it.
struct ZipEntry {
  std::string name;
  uint16_t method = 0;  ///< 0 stored, 8 deflated
  uint32_t crc = 0;
  uint64_t compressed_size = 0;
  uint64_t size = 0;
  uint64_t data_offset = 0;  ///< of its compressed bytes in the file
};

/// The members, in order of the directory. Refuses, with offset and reason, archives that are split, encrypted,
/// compressed otherwise, or whose members overlap or leave the file.
Result<std::vector<ZipEntry>> read_zip_directory(Bytes file);

/// A member's contents, checked against its size and CRC. Memory grows with what is really there, not with what the
/// directory claims.
Result<std::vector<uint8_t>> extract(Bytes file, const ZipEntry& entry);

}  // namespace moe::replay
