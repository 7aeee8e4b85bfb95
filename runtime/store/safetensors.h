// SPDX-License-Identifier: Apache-2.0
// The safetensors format: u64 header length, a JSON header, the tensors' bytes without holes.
// https://huggingface.co/docs/safetensors; little endian files on little endian machines only.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/moe.h"
#include "runtime/base/result.h"

namespace moe::store {

struct Tensor {
  std::string name;
  moe_dtype dtype = MOE_OTHER;
  std::string dtype_word;       ///< as in the file: "BF16"
  std::vector<uint64_t> shape;  ///< row-major; any rank
  const char* data = nullptr;
  uint64_t size_bytes = 0;
};

/// What a dtype's word stands for.
struct Dtype {
  std::string_view word;
  moe_dtype dtype;
  uint64_t size_bytes;
};
/// nullptr: a dtype of tomorrow.
const Dtype* find_dtype(std::string_view word);

/// Bytes of a tensor of that shape; nullopt when they do not fit in 64 bits.
std::optional<uint64_t> tensor_bytes(const Dtype& dtype, const std::vector<uint64_t>& shape);

/// Reads the header of a whole file in memory, without touching the tensors. Ascending by name. `file` names it in
/// messages.
/// Errors: format. Every tensor's bytes lie in the file, none overlap, and sizes agree with shape and dtype.
Result<std::vector<Tensor>> read_safetensors(std::string_view bytes, const std::string& file);

/// The strings of the header's `__metadata__`; empty when there is none, or it holds something else than strings.
/// Errors: format.
Result<std::map<std::string, std::string>> read_safetensors_metadata(std::string_view bytes, const std::string& file);

/// Where a dtype stands among those of the format's reference implementation, which puts tensors of later ones first.
/// nullopt: not known.
std::optional<uint32_t> dtype_rank(std::string_view dtype_word);

}  // namespace moe::store
