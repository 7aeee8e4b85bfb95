// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "runtime/base/result.h"
#include "runtime/cuda/driver.h"

namespace moe::cuda {

/// Where experts are, in device memory: one address for each (layer, expert), so that a captured CUDA graph finds them
/// wherever a later dispatch puts them.
///
/// An address is written on the stream that waits for the expert, behind that wait, and not again while that stream
/// goes on to find the expert there.
///
/// Threads  one at a time.
class SlotTable {
 public:
  explicit SlotTable(Driver& driver) : driver_(driver) {}
  ~SlotTable();
  SlotTable(const SlotTable&) = delete;
  SlotTable& operator=(const SlotTable&) = delete;

  /// All addresses are 0 at first. Returns after the device has zeroed them. Errors: no_memory, device.
  Result<void> allocate(uint32_t num_keys, Stream stream);

  /// Behind what is queued on `stream`, expert `key` is at `address`. Cost: a launch, or nothing. Errors: device.
  Result<void> write(uint32_t key, const void* address, Stream stream);

  const uint64_t* data() const { return table_; }  ///< device memory, [num_keys]

 private:
  struct Written {
    const void* address = nullptr;
    Stream stream = nullptr;
  };
  Driver& driver_;
  uint64_t* table_ = nullptr;
  std::vector<Written> written_;  ///< of the keys
};

}  // namespace moe::cuda
