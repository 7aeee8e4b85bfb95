// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/layout.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>

#include "runtime/store/fused.h"

namespace moe::store {
namespace {

constexpr uint32_t kMaxExpertId = 65534;
constexpr size_t kMaxRank = 4;

struct ExpertName {
  uint32_t layer;
  uint32_t expert;
  std::string_view part;
};

/// Cuts the first component off a dotted name.
std::string_view next_component(std::string_view& name) {
  const size_t dot = name.find('.');
  const std::string_view component = name.substr(0, dot);
  name = dot == name.npos ? std::string_view{} : name.substr(dot + 1);
  return component;
}

std::optional<uint32_t> to_number(std::string_view digits) {
  if (digits.empty() || digits.size() > 9) return std::nullopt;
  uint32_t value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint32_t>(c - '0');
  }
  return value;
}

/// Skips components up to `word` and a number behind it.
std::optional<uint32_t> number_after(std::string_view word, std::string_view& rest) {
  while (!rest.empty()) {
    if (next_component(rest) != word) continue;
    std::string_view behind = rest;
    if (const auto number = to_number(next_component(behind))) {
      rest = behind;
      return number;
    }
  }
  return std::nullopt;
}

std::optional<ExpertName> parse_name(std::string_view name) {
  const auto layer = number_after("layers", name);
  if (!layer) return std::nullopt;
  const auto expert = number_after("experts", name);
  if (!expert || name.empty()) return std::nullopt;
  return ExpertName{*layer, *expert, name};
}

/// `lL_eE__PART`, as a Chronos cache has it.
std::optional<ExpertName> parse_chronos_name(std::string_view name) {
  const size_t middle = name.find("_e");
  const size_t end = name.find("__");
  if (name.empty() || name[0] != 'l' || middle == name.npos || end == name.npos || end < middle + 2)
    return std::nullopt;
  const auto layer = to_number(name.substr(1, middle - 1));
  const auto expert = to_number(name.substr(middle + 2, end - middle - 2));
  if (!layer || !expert || end + 2 == name.size()) return std::nullopt;
  return ExpertName{*layer, *expert, name.substr(end + 2)};
}

/// part name -> tensor, of one expert
using PartTensors = std::map<std::string_view, const Tensor*>;
/// layer -> expert -> parts, all ascending
using Found = std::map<uint32_t, std::map<uint32_t, PartTensors>>;

Error wrong(const std::string& model, const std::string& reason) {
  return {Error::Kind::format, model + ": " + reason};
}

Result<void> add_to(Found& found, const std::vector<Tensor>& tensors, const std::string& model, Naming naming) {
  for (const Tensor& tensor : tensors) {
    const auto name = naming == Naming::chronos ? parse_chronos_name(tensor.name) : parse_name(tensor.name);
    if (!name) continue;
    if (name->expert >= kMaxExpertId) return wrong(model, "tensor `" + tensor.name + "`: expert number is too large");
    const auto [there, added] = found[name->layer][name->expert].emplace(name->part, &tensor);
    if (!added) {
      return wrong(model, "tensors `" + there->second->name + "` and `" + tensor.name + "` are the same part");
    }
  }
  return {};
}

Result<Found> group(const std::vector<Tensor>& tensors, const std::vector<Tensor>& slices, const std::string& model,
                    Naming naming) {
  Found found;
  for (const auto* from : {&tensors, &slices}) {
    if (Result<void> added = add_to(found, *from, model, naming); !added) return added.error();
  }
  if (found.empty()) {
    return wrong(model,
                 "no tensor is named like `...layers.L. ... .experts.E.PART` or, with the experts in one tensor, "
                 "`...layers.L. ... .experts.PART`: not a mixture of experts");
  }
  return found;
}

Result<ExpertLayout> layout_of(const PartTensors& parts, const std::string& model) {
  ExpertLayout layout;
  for (const auto& [name, tensor] : parts) {
    if (tensor->shape.size() > kMaxRank) {
      return wrong(model, "tensor `" + tensor->name + "`: an expert's part has at most 4 dimensions");
    }
    Part part;
    part.name = name;
    part.dtype = tensor->dtype;
    part.dtype_word = tensor->dtype_word;
    part.rank = static_cast<uint32_t>(tensor->shape.size());
    std::copy(tensor->shape.begin(), tensor->shape.end(), part.shape.begin());
    part.size_bytes = tensor->size_bytes;
    append_part(layout, std::move(part));
  }
  return layout;
}

/// The expert's tensors in the order of `model_parts`, the first expert's.
Result<void> append_sources(const PartTensors& parts, const PartTensors& first, const std::string& model,
                            std::vector<const Tensor*>& sources) {
  const Tensor& like = *first.begin()->second;
  for (const auto& [name, expected] : first) {
    const auto found = parts.find(name);
    if (found == parts.end()) {
      return wrong(model, "`" + parts.begin()->second->name + "` has no sibling `" + std::string(name) + "`, unlike `" +
                              like.name + "`");
    }
    const Tensor& tensor = *found->second;
    if (tensor.dtype_word != expected->dtype_word || tensor.shape != expected->shape ||
        tensor.size_bytes != expected->size_bytes) {
      return wrong(model, "tensors `" + expected->name + "` and `" + tensor.name + "` differ in shape or dtype");
    }
    sources.push_back(&tensor);
  }
  if (parts.size() != first.size()) {
    for (const auto& [name, tensor] : parts) {
      if (!first.contains(name))
        return wrong(model, "`" + tensor->name + "` has no counterpart beside `" + like.name + "`");
    }
  }
  return {};
}

}  // namespace

void append_part(ExpertLayout& layout, Part part) {
  part.offset_bytes = layout.slot_bytes;
  layout.weight_bytes += part.size_bytes;
  layout.slot_bytes += (part.size_bytes + kPartAlignment - 1) & ~(kPartAlignment - 1);
  layout.parts.push_back(std::move(part));
}

std::optional<std::pair<uint32_t, uint32_t>> chronos_expert(std::string_view name) {
  const auto parsed = parse_chronos_name(name);
  if (!parsed) return std::nullopt;
  return std::pair(parsed->layer, parsed->expert);
}

Result<Experts> find_experts(const std::vector<Tensor>& tensors, const std::string& model, Naming naming) {
  Result<std::vector<Tensor>> slices = std::vector<Tensor>();
  if (naming == Naming::hugging_face) slices = cut_fused(tensors, model);
  if (!slices) return slices.error();
  Result<Found> found = group(tensors, *slices, model, naming);
  if (!found) return found.error();
  const auto& first_layer = found->begin()->second;
  const PartTensors& first = first_layer.begin()->second;
  Result<ExpertLayout> layout = layout_of(first, model);
  if (!layout) return layout.error();
  Experts experts{
      std::move(*layout), static_cast<uint32_t>(found->size()), static_cast<uint32_t>(first_layer.size()), {}, {}};
  if (experts.layout.weight_bytes == 0)
    return wrong(model, "tensor `" + first.begin()->second->name + "`: empty experts");
  for (const auto& [layer, of_layer] : *found) {
    uint32_t next = 0;
    for (const auto& [expert, parts] : of_layer) {
      if (expert != next++) {
        return wrong(model, "layer " + std::to_string(layer) + " has no expert " + std::to_string(next - 1));
      }
      if (Result<void> added = append_sources(parts, first, model, experts.sources); !added) return added.error();
    }
    if (next != experts.num_experts) {
      return wrong(model, "layer " + std::to_string(layer) + " has " + std::to_string(next) + " experts, layer " +
                              std::to_string(found->begin()->first) + " has " + std::to_string(experts.num_experts));
    }
  }
  experts.slices = std::move(*slices);  // moving a vector moves no element: `sources` still points at them
  return experts;
}

void copy_expert(const Experts& experts, size_t key, std::byte* slot) {
  const size_t num_parts = experts.layout.parts.size();
  for (size_t p = 0; p < num_parts; ++p) {
    const Part& part = experts.layout.parts[p];
    const uint64_t next = p + 1 < num_parts ? experts.layout.parts[p + 1].offset_bytes : experts.layout.slot_bytes;
    std::byte* to = slot + part.offset_bytes;
    if (part.size_bytes > 0) std::memcpy(to, experts.sources[key * num_parts + p]->data, part.size_bytes);
    std::memset(to + part.size_bytes, 0, next - part.offset_bytes - part.size_bytes);
  }
}

}  // namespace moe::store
