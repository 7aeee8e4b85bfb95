// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/fused.h"

namespace moe::store {
namespace {

// Far above any model of today. With a byte at least in each slice, no small file can ask for much memory.
constexpr uint64_t kMaxSlices = 1 << 21;

/// Where the PART of a fused tensor's name begins; npos: it is none.
size_t fused_part(const Tensor& tensor) {
  constexpr std::string_view kExperts = ".experts.";
  if (tensor.shape.size() != 3) return std::string::npos;
  const size_t experts = tensor.name.rfind(kExperts);
  if (experts == std::string::npos) return std::string::npos;
  const size_t part = experts + kExperts.size();
  const bool one_word = part < tensor.name.size() && tensor.name.find('.', part) == std::string::npos;
  const bool number = tensor.name.find_first_not_of("0123456789", part) == std::string::npos;
  return one_word && !number ? part : std::string::npos;
}

}  // namespace

Result<std::vector<Tensor>> cut_fused(const std::vector<Tensor>& tensors, const std::string& model) {
  std::vector<Tensor> slices;
  for (const Tensor& tensor : tensors) {
    const size_t part = fused_part(tensor);
    if (part == std::string::npos) continue;
    const uint64_t count = tensor.shape[0];
    const bool whole = count > 0 && tensor.size_bytes >= count && tensor.size_bytes % count == 0;
    if (!whole || count > kMaxSlices - slices.size()) {
      return Error{Error::Kind::format, model + ": tensor `" + tensor.name + "`: " + std::to_string(tensor.size_bytes) +
                                            " bytes of " + std::to_string(count) + " experts cannot be cut apart"};
    }
    Tensor slice = tensor;
    slice.shape.erase(slice.shape.begin());
    slice.size_bytes = tensor.size_bytes / count;
    for (uint64_t expert = 0; expert < count; ++expert) {
      slice.name = tensor.name.substr(0, part) + std::to_string(expert) + "." + tensor.name.substr(part);
      slice.data = tensor.data + expert * slice.size_bytes;
      slices.push_back(slice);
    }
  }
  return slices;
}

}  // namespace moe::store
