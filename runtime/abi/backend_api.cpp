// SPDX-License-Identifier: Apache-2.0
// moe.h: which backend a runtime has, and what it offers to engines.
#include <algorithm>
#include <cstring>

#include "runtime/abi/backends.h"
#include "runtime/abi/handles.h"
#include "runtime/backend/host.h"
#include "runtime/backend/library.h"
#include "runtime/core/engine.h"
#include "runtime/structs.h"

using moe::fail;
using moe::guarded;

namespace moe::abi {
namespace {

std::unique_ptr<backend::Backend> make_host(const Allocator& allocator) {
  return std::make_unique<backend::HostBackend>(allocator);
}

Result<core::BackendFactory> choose_cuda(const moe_runtime_config& config) {
  const std::string path = config.backend_library ? config.backend_library : "";
  const Result<const moe_backend_library*> library = backend::open_library("libmoe_cuda.so", path);
  if (!library) return Error{library.error().kind, "CUDA: " + library.error().message};
  if (Result<void> usable = backend::probe(**library, config.device); !usable) return usable.error();
  moe_backend_settings settings{};
  settings.device = config.device;
  settings.num_keys = config.shape.num_layers * config.shape.num_experts;  // in range, or create_runtime refuses it
  settings.pinned_bytes = config.pinned_bytes;
  return core::BackendFactory(
      [table = *library, settings](const Allocator&) { return backend::create(*table, settings); });
}

}  // namespace

Result<core::BackendFactory> choose_backend(const moe_runtime_config* given) {
  // Not read_struct: who gave a bad struct_size shall hear of that, from create_runtime.
  moe_runtime_config config{};
  if (!given || given->struct_size < kLeastSize<moe_runtime_config>) return core::BackendFactory(make_host);
  std::memcpy(&config, given, std::min<size_t>(given->struct_size, sizeof config));
  if (config.backend == MOE_BACKEND_HOST) return core::BackendFactory(make_host);
  if (config.backend == MOE_BACKEND_CUDA) return choose_cuda(config);
  return Error{Error::Kind::unsupported, "there is no backend " + std::to_string(config.backend)};
}

}  // namespace moe::abi

extern "C" moe_status moe_backend_functions(moe_runtime* runtime, const char* name, const void** out_functions,
                                            void** out_device) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    if (!name || !out_functions || !out_device) return fail(MOE_INVALID, "an argument is NULL");
    moe::core::Engine* const engine = runtime->engine.load(std::memory_order_acquire);
    if (!engine) return fail(MOE_INVALID, "no policy is attached yet");
    const moe::backend::Backend::Functions found = engine->backend().functions(name);
    if (!found.table) return fail(MOE_UNSUPPORTED, "this backend has no functions `%s`", name);
    *out_functions = found.table;
    *out_device = found.device;
    return MOE_OK;
  });
}
