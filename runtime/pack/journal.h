// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/pack/files.h"

namespace moe::pack {

/// Which extents of a partial are written. A record says so after the extent's bytes were given to the system; nothing
/// is synced in between, so a record is a claim, and who goes on from it compares the extent with its checksum.
class Journal {
 public:
  struct Record {
    uint32_t place;  ///< counts StoreIndex::extents
    uint32_t crc32c;
  };
  /// Opens or makes the file and reads its records, up to the first that is torn or not valid.
  static Result<Journal> open(const std::string& path, uint64_t num_extents);

  const std::vector<Record>& records() const { return records_; }

  /// From now on: these, which must be a subset of records().
  Result<void> keep(const std::vector<Record>& records);
  Result<void> append(const Record& record);

 private:
  explicit Journal(OutFile file) : file_(std::move(file)) {}
  OutFile file_;
  uint64_t end_bytes_ = 0;
  std::vector<Record> records_;
};

}  // namespace moe::pack
