// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy arrays (format versions 1 to 3), little endian, C order.
#pragma once
#include <string>
#include <vector>

#include "replay/bytes.h"
#include "runtime/base/result.h"

namespace moe::replay {

/// An array and a view of its elements; borrows the file's bytes.
struct NpyArray {
  char kind = 0;  ///< 'u', 'i' or 'f'
  size_t item_size = 0;
  std::vector<uint64_t> shape;  ///< empty: a scalar
  Bytes data;                   ///< shape's product times item_size bytes

  uint64_t num_items() const { return data.size() / item_size; }
};

/// Reads a whole .npy file: u1 u2 u4 u8 i1 i2 i4 i8 f2 f4 f8. Errors name the offset and say why.
Result<NpyArray> parse_npy(Bytes file);

/// Elements as unsigned numbers of at most `max`; the error names the first element that is not one. `name` is for it.
Result<std::vector<uint32_t>> to_integers(const NpyArray& array, uint32_t max, std::string_view name);

/// Elements as binary32: f2 and f4 exactly, f8 and integers rounded.
std::vector<float> to_floats(const NpyArray& array);

}  // namespace moe::replay
