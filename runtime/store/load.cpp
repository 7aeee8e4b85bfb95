// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/load.h"

#include <limits>

#include "runtime/store/checkpoint.h"

namespace moe::store {

Block make_image(uint64_t num_keys, uint64_t slot_bytes, const Allocator& allocator) {
  if (slot_bytes > std::numeric_limits<size_t>::max() / num_keys) throw std::bad_alloc();
  return Block(allocator, num_keys * slot_bytes);
}

namespace {

Block assemble(const Experts& experts, const Allocator& allocator) {
  const uint64_t slot_bytes = experts.layout.slot_bytes;
  const size_t num_keys = size_t{experts.num_layers} * experts.num_experts;
  Block image = make_image(num_keys, slot_bytes, allocator);
  for (size_t key = 0; key < num_keys; ++key) {
    copy_expert(experts, key, image.bytes() + key * slot_bytes);
  }
  return image;
}

}  // namespace

Result<Loaded> load_checkpoint(const std::string& dir, const CheckShape& check, const Allocator& allocator) {
  Result<Checkpoint> checkpoint = open_checkpoint(dir);
  if (!checkpoint) return checkpoint.error();
  const Experts& experts = checkpoint->experts;
  if (Result<void> fits = check(experts.num_layers, experts.num_experts, experts.layout.weight_bytes); !fits) {
    return fits.error();
  }
  Loaded loaded;
  loaded.image = assemble(experts, allocator);
  loaded.layout = std::move(checkpoint->experts.layout);
  loaded.model = std::move(checkpoint->model);
  for (const MappedFile& file : loaded.model.files) file.drop_pages();
  return loaded;
}

}  // namespace moe::store
