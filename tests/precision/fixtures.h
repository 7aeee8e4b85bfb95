// SPDX-License-Identifier: Apache-2.0
// Arrays that other packages made: optimum-quanto 0.2.7 on a CPU, dhurandhar 0.1.4.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "replay/npy.h"
#include "runtime/precision/codec.h"

namespace moe::precision::test {

/// Bytes of an array of an archive, and its shape.
struct Array {
  std::vector<uint8_t> storage;
  replay::NpyArray npy;

  /// Numbers as bytes; bf16 and float8 are kept as bit patterns.
  const uint8_t* bytes() const { return npy.data.data(); }
  uint64_t size() const { return npy.num_items(); }
  std::vector<float> numbers(moe_dtype dtype) const;
};

class Archive {
 public:
  explicit Archive(const std::string& path);
  bool has(const std::string& name) const { return find(name).has_value(); }
  /// Throws when it is not there.
  Array get(const std::string& name) const;

 private:
  std::optional<size_t> find(const std::string& name) const;
  std::vector<uint8_t> file_;
};

/// One recorded case; what is not in the arrays is in the file's name, `KIND_DTYPE_FORMAT[_gGROUP][_axAXIS]`.
struct Case {
  std::string name;
  moe_dtype dtype = MOE_F32;
  Options options;
  Array input;
  Array scale;
  std::optional<Array> shift;
  std::optional<Array> packed;
  Array codes;
  Array dequant;

  MatrixView matrix() const;
};

/// Calls `check` for each case of tests/data/quanto and, where it is beside the checkout, of the whole collection.
/// Returns how many there were.
int for_each_case(const std::function<void(const Case&)>& check);

/// The large data's folder, or nullopt and a note that the check is skipped.
std::optional<std::string> shared_data(const std::string& relative);

}  // namespace moe::precision::test
