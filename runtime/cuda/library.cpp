// SPDX-License-Identifier: Apache-2.0
// What libmoe_cuda.so exports: the table of runtime/backend/library_abi.h.
#include "runtime/backend/export.h"
#include "runtime/cuda/cudart.h"
#include "runtime/cuda/errors.h"
#include "runtime/cuda/functions.h"

namespace moe::cuda {
namespace {

Peers& process_peers() {
  // For all runtimes of the process, and never destroyed: at its end the driver is gone before.
  static Peers* const peers = new Peers(cuda_runtime());
  return *peers;
}

struct CudaMaker {
  static Result<void> probe(uint32_t device) { return cuda::probe(cuda_runtime(), device); }
  static Result<std::unique_ptr<backend::Backend>> create(const moe_backend_settings& settings) {
    return std::unique_ptr<backend::Backend>(
        std::make_unique<CudaBackend>(cuda_runtime(), settings, process_peers(), &functions()));
  }
};

constexpr moe_backend_library kTable = backend::library_table<CudaMaker>("cuda");

}  // namespace
}  // namespace moe::cuda

extern "C" __attribute__((visibility("default"))) const moe_backend_library* moe_backend_library_table(void) {
  return &moe::cuda::kTable;
}
