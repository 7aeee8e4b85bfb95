// SPDX-License-Identifier: Apache-2.0
// Writes safetensors files, with the header and the order of tensors of the format's reference implementation: dtypes
// from wide to narrow, names ascending, the header padded with spaces to a multiple of 8. Equal tensors give equal
// files.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/result.h"

namespace moe::store {

/// A tensor that will be written.
struct TensorSpec {
  std::string name;  ///< UTF-8
  std::string dtype_word;
  std::vector<uint64_t> shape;
  uint64_t size_bytes = 0;
};

/// One file. Tensors are written in any order, each once, in one piece or several, so that neither a model nor a tensor
/// need be in memory.
///
/// Ownership  of the file, which is closed, and may be incomplete, when the writer goes before finish(). It is not
///            removed: it is for the caller to write beside the final name and rename.
/// Threads    one.
class SafetensorsWriter {
 public:
  /// Creates the file; it must not be there yet. Errors: io.
  static Result<SafetensorsWriter> create(const std::string& path, std::vector<TensorSpec> tensors,
                                          const std::map<std::string, std::string>& metadata);
  SafetensorsWriter(SafetensorsWriter&& other) noexcept
      : path_(std::move(other.path_)),
        places_(std::move(other.places_)),
        size_bytes_(other.size_bytes_),
        file_(std::exchange(other.file_, -1)) {}
  SafetensorsWriter& operator=(SafetensorsWriter&&) = delete;
  ~SafetensorsWriter();

  /// Errors: io; invalid: no such tensor, another size, written before.
  Result<void> write(const std::string& name, const void* bytes, uint64_t size_bytes);
  /// Writes a tensor's next bytes, behind those of the calls before. Errors: io; invalid: no such tensor, more bytes
  /// than it has.
  Result<void> append(const std::string& name, const void* bytes, uint64_t size_bytes);
  /// Makes the file durable. Errors: io; invalid: a tensor that was not written, or not all of it.
  Result<void> finish();

  uint64_t size_bytes() const { return size_bytes_; }  ///< of the file

 private:
  struct Place {
    uint64_t offset = 0;
    uint64_t size_bytes = 0;
    uint64_t written = 0;  ///< bytes, from the begin
  };
  SafetensorsWriter(std::string path, int file) : path_(std::move(path)), file_(file) {}
  Error invalid(const std::string& name, const std::string& reason) const;
  Result<void> write_at(const char* bytes, uint64_t size_bytes, uint64_t offset) const;

  std::string path_;
  std::map<std::string, Place> places_;
  uint64_t size_bytes_ = 0;
  int file_ = -1;
};

}  // namespace moe::store
