// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/store.h"

#include <algorithm>
#include <cstring>

namespace moe::store {
namespace {

/// Copies every expert to its place; the padding between parts becomes zero.
Block assemble(const Experts& experts, const Allocator& allocator) {
  const uint64_t slot_bytes = experts.layout.slot_bytes;
  const size_t num_parts = experts.layout.parts.size();
  const size_t num_keys = size_t{experts.num_layers} * experts.num_experts;
  if (slot_bytes > std::numeric_limits<size_t>::max() / num_keys) throw std::bad_alloc();
  Block image(allocator, num_keys * slot_bytes);
  for (size_t key = 0; key < num_keys; ++key) {
    std::byte* slot = image.bytes() + key * slot_bytes;
    for (size_t p = 0; p < num_parts; ++p) {
      const Part& part = experts.layout.parts[p];
      const uint64_t next = p + 1 < num_parts ? experts.layout.parts[p + 1].offset_bytes : slot_bytes;
      std::byte* to = slot + part.offset_bytes;
      std::memcpy(to, experts.sources[key * num_parts + p]->data, part.size_bytes);
      std::memset(to + part.size_bytes, 0, next - part.offset_bytes - part.size_bytes);
    }
  }
  return image;
}

}  // namespace

Result<void> ExpertStore::check_shape(const Experts& experts, const std::string& dir) const {
  if (experts.num_layers != shape_.num_layers || experts.num_experts != shape_.num_experts) {
    return Error{Error::Kind::invalid,
                 dir + ": has " + std::to_string(experts.num_layers) + " MoE layers of " +
                     std::to_string(experts.num_experts) + " experts, the runtime was created for " +
                     std::to_string(shape_.num_layers) + " of " + std::to_string(shape_.num_experts)};
  }
  if (shape_.expert_bytes != 0 && shape_.expert_bytes != experts.layout.weight_bytes) {
    return Error{Error::Kind::invalid, dir + ": an expert has " + std::to_string(experts.layout.weight_bytes) +
                                           " bytes, the runtime was created for " +
                                           std::to_string(shape_.expert_bytes)};
  }
  return {};
}

Result<void> ExpertStore::open(const std::string& dir) {
  if (!sources_.empty()) return Error{Error::Kind::invalid, "the runtime has a store already"};
  Result<ModelFiles> model = open_model_files(dir);
  if (!model) return model.error();
  Result<Experts> experts = find_experts(model->tensors, dir);
  if (!experts) return experts.error();
  if (Result<void> fits = check_shape(*experts, dir); !fits) return fits;

  Block image = assemble(*experts, allocator_);
  const size_t num_keys = size_t{shape_.num_layers} * shape_.num_experts;
  std::vector<const void*> sources(num_keys);
  for (size_t key = 0; key < num_keys; ++key) sources[key] = image.bytes() + key * experts->layout.slot_bytes;

  layout_ = std::move(experts->layout);
  expert_bytes_ = layout_.parts.back().offset_bytes + layout_.parts.back().size_bytes;
  model_ = std::move(*model);
  for (const MappedFile& file : model_.files) file.drop_pages();
  image_ = std::move(image);
  sources_ = std::move(sources);
  num_added_ = static_cast<uint32_t>(num_keys);
  return {};
}

Result<void> ExpertStore::add(uint32_t layer, uint32_t expert, const void* bytes, uint64_t size_bytes) {
  auto invalid = [](std::string reason) { return Error{Error::Kind::invalid, std::move(reason)}; };
  if (opened()) return invalid("the runtime's store was opened from files; experts cannot be added to it");
  if (layer >= shape_.num_layers)
    return invalid("layer " + std::to_string(layer) + " is not below " + std::to_string(shape_.num_layers));
  if (expert >= shape_.num_experts) {
    return invalid("expert " + std::to_string(expert) + " is not below " + std::to_string(shape_.num_experts));
  }
  if (!bytes || size_bytes == 0) return invalid("an expert without bytes");
  const uint64_t wanted = num_added_ ? expert_bytes_ : shape_.expert_bytes;
  if (wanted != 0 && size_bytes != wanted) {
    return invalid("an expert of " + std::to_string(size_bytes) + " bytes; they have " + std::to_string(wanted));
  }
  if (size_bytes > std::numeric_limits<uint64_t>::max() / 2) return invalid("an expert that large cannot exist");
  if (sources_.empty()) sources_.resize(size_t{shape_.num_layers} * shape_.num_experts);
  const void*& source = sources_[size_t{layer} * shape_.num_experts + expert];
  if (source)
    return invalid("layer " + std::to_string(layer) + " expert " + std::to_string(expert) + " was added before");
  if (num_added_ == 0) {
    Part whole;
    whole.rank = 1;
    whole.shape[0] = whole.size_bytes = expert_bytes_ = size_bytes;
    append_part(layout_, std::move(whole));
  }
  source = bytes;
  ++num_added_;
  return {};
}

std::optional<std::string> ExpertStore::missing() const {
  if (sources_.empty()) return "the runtime has no store: call moe_store_open or moe_store_add first";
  const auto hole = std::find(sources_.begin(), sources_.end(), nullptr);
  if (hole == sources_.end()) return std::nullopt;
  const auto key = static_cast<size_t>(hole - sources_.begin());
  return "layer " + std::to_string(key / shape_.num_experts) + " expert " + std::to_string(key % shape_.num_experts) +
         " was not added to the store";
}

const Tensor* ExpertStore::find(std::string_view name) const {
  const auto found =
      std::lower_bound(model_.tensors.begin(), model_.tensors.end(), name,
                       [](const Tensor& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return found != model_.tensors.end() && found->name == name ? &*found : nullptr;
}

}  // namespace moe::store
