// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/store.h"

#include <algorithm>
#include <limits>

#include "runtime/store/load.h"

namespace moe::store {

Result<void> ExpertStore::check_shape(uint32_t num_layers, uint32_t num_experts, uint64_t weight_bytes,
                                      const std::string& dir) const {
  if (num_layers != shape_.num_layers || num_experts != shape_.num_experts) {
    return Error{Error::Kind::invalid, dir + ": has " + std::to_string(num_layers) + " MoE layers of " +
                                           std::to_string(num_experts) + " experts, the runtime was created for " +
                                           std::to_string(shape_.num_layers) + " of " +
                                           std::to_string(shape_.num_experts)};
  }
  if (shape_.expert_bytes != 0 && shape_.expert_bytes != weight_bytes) {
    return Error{Error::Kind::invalid, dir + ": an expert has " + std::to_string(weight_bytes) +
                                           " bytes, the runtime was created for " +
                                           std::to_string(shape_.expert_bytes)};
  }
  return {};
}

Result<void> ExpertStore::open(const std::string& dir) {
  if (!sources_.empty()) return Error{Error::Kind::invalid, "the runtime has a store already"};
  return is_store(dir) ? open_packed(dir) : open_checkpoint(dir);
}

Result<void> ExpertStore::open_checkpoint(const std::string& dir) {
  const CheckShape check = [&](uint32_t num_layers, uint32_t num_experts, uint64_t weight_bytes) {
    return check_shape(num_layers, num_experts, weight_bytes, dir);
  };
  Result<Loaded> loaded = load_checkpoint(dir, check, allocator_);
  if (!loaded) return loaded.error();

  std::vector<const void*> sources(num_keys());
  for (size_t key = 0; key < num_keys(); ++key) sources[key] = loaded->image.bytes() + key * loaded->layout.slot_bytes;

  layout_ = std::move(loaded->layout);
  expert_bytes_ = layout_.parts.back().offset_bytes + layout_.parts.back().size_bytes;
  model_ = std::move(loaded->model);
  image_ = std::move(loaded->image);
  sources_ = std::move(sources);
  num_added_ = static_cast<uint32_t>(num_keys());
  opened_ = true;
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
  if (sources_.empty()) sources_.resize(num_keys());
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
  if (packed_) return std::nullopt;
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
