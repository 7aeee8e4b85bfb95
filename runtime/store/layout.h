// SPDX-License-Identifier: Apache-2.0
// How an expert lies in a slot, and which tensors of a model make it up.
#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/store/safetensors.h"

namespace moe::store {

inline constexpr uint64_t kPartAlignment = 64;

struct Part {
  std::string name;  ///< what follows `experts.N.`
  moe_dtype dtype = MOE_OTHER;
  std::string dtype_word;  ///< as in a safetensors file: "BF16"; "" for an expert from memory
  uint32_t rank = 0;
  std::array<uint64_t, 4> shape{1, 1, 1, 1};
  uint64_t offset_bytes = 0;  ///< a multiple of kPartAlignment
  uint64_t size_bytes = 0;
};

/// One expert's bytes; the same for every expert of a store.
struct ExpertLayout {
  std::vector<Part> parts;    ///< ascending by name
  uint64_t weight_bytes = 0;  ///< the parts without padding
  uint64_t slot_bytes = 0;    ///< with padding, a multiple of kPartAlignment
};

/// Appends a part behind those that are there.
void append_part(ExpertLayout& layout, Part part);

/// The experts that a model's tensors make up.
struct Experts {
  ExpertLayout layout;
  uint32_t num_layers = 0;
  uint32_t num_experts = 0;
  std::vector<const Tensor*> sources;  ///< [num_layers * num_experts][parts]; into the tensors given, or `slices`
  std::vector<Tensor> slices;          ///< of tensors that hold a part of all experts
};

/// How tensors of experts are named.
enum class Naming {
  hugging_face,  ///< `...layers.L. ... .experts.E.PART`, or as fused.h says
  chronos,       ///< `lL_eE__PART`
};

/// Layer and expert of a name of the chronos kind; nullopt: it is none.
std::optional<std::pair<uint32_t, uint32_t>> chronos_expert(std::string_view name);

/// Finds the tensors that are named so. MoE layers are numbered in order of L.
/// Errors: format: no expert at all, an expert or a part missing or twice, experts of different shape or dtype.
Result<Experts> find_experts(const std::vector<Tensor>& tensors, const std::string& model,
                             Naming naming = Naming::hugging_face);

/// Copies an expert's parts to their places in `slot`, layout.slot_bytes long; the padding between them becomes zero.
///   key  layer * num_experts + expert
void copy_expert(const Experts& experts, size_t key, std::byte* slot);

}  // namespace moe::store
