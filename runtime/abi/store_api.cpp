// SPDX-License-Identifier: Apache-2.0
// moe.h: the expert store.
#include <algorithm>

#include "runtime/abi/handles.h"
#include "runtime/structs.h"

using moe::fail;
using moe::guarded;

namespace {

constexpr uint32_t kMaxRank = 4;

moe_status changeable(const moe_runtime& runtime) {
  if (!runtime.engine.load(std::memory_order_acquire)) return MOE_OK;
  return fail(MOE_INVALID, "the store cannot change after the first attach");
}

}  // namespace

extern "C" {

moe_status moe_store_open(moe_runtime* runtime, const char* model_dir) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    if (!model_dir) return fail(MOE_INVALID, "`model_dir` is NULL");
    const std::lock_guard lock(runtime->setup);
    if (const moe_status status = changeable(*runtime)) return status;
    const moe::Result<void> opened = runtime->store.open(model_dir);
    return opened ? MOE_OK : fail(opened.error());
  });
}

moe_status moe_store_add(moe_runtime* runtime, uint32_t layer, uint32_t expert, const void* bytes, uint64_t size) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    const std::lock_guard lock(runtime->setup);
    if (const moe_status status = changeable(*runtime)) return status;
    const moe::Result<void> added = runtime->store.add(layer, expert, bytes, size);
    return added ? MOE_OK : fail(added.error());
  });
}

moe_status moe_store_tensor(moe_runtime* runtime, const char* name, moe_tensor_view* out_tensor) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    if (!name) return fail(MOE_INVALID, "`name` is NULL");
    if (const moe_status status = moe::abi::check_struct(out_tensor, "out_tensor")) return status;
    const std::lock_guard lock(runtime->setup);
    if (!runtime->store.opened()) return fail(MOE_INVALID, "no store was opened");
    const moe::store::Tensor* tensor = runtime->store.find(name);
    if (!tensor) return fail(MOE_INVALID, "no tensor is named `%s`", name);
    if (tensor->shape.size() > kMaxRank) {
      return fail(MOE_UNSUPPORTED, "tensor `%s` has %zu dimensions, a view has at most 4", name, tensor->shape.size());
    }
    if (const auto key = runtime->store.key_of(*tensor)) {
      if (const moe::Result<void> good = runtime->store.verify_mapped(*key); !good) return fail(good.error());
    }
    moe_tensor_view view{};
    view.dtype = tensor->dtype;
    view.rank = static_cast<uint32_t>(tensor->shape.size());
    std::fill(std::begin(view.shape), std::end(view.shape), 1u);
    std::copy(tensor->shape.begin(), tensor->shape.end(), view.shape);
    view.data = tensor->data;
    view.size_bytes = tensor->size_bytes;
    moe::abi::write_struct(view, out_tensor);
    return MOE_OK;
  });
}

moe_status moe_store_part(moe_runtime* runtime, uint32_t index, moe_expert_part* out_part) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    if (const moe_status status = moe::abi::check_struct(out_part, "out_part")) return status;
    const std::lock_guard lock(runtime->setup);
    const auto& parts = runtime->store.layout().parts;
    if (index >= parts.size()) return fail(MOE_INVALID, "part %u; an expert has %zu", index, parts.size());
    const moe::store::Part& part = parts[index];
    moe_expert_part out{};
    out.dtype = part.dtype;
    out.rank = part.rank;
    std::copy(part.shape.begin(), part.shape.end(), out.shape);
    out.offset = part.offset_bytes;
    out.size_bytes = part.size_bytes;
    out.name = part.name.c_str();
    moe::abi::write_struct(out, out_part);
    return MOE_OK;
  });
}

}  // extern "C"
