// SPDX-License-Identifier: Apache-2.0
// libmoe_cuda.so with devices that are not there: what an engine does with it can be tested everywhere.
#include "runtime/backend/export.h"
#include "runtime/cuda/errors.h"
#include "runtime/cuda/functions.h"
#include "tests/runtime/cuda/fake_driver.h"

namespace moe::test {
namespace {

struct Machine {
  FakeDriver driver{{.num_devices = 2, .seed = 11}};
  cuda::Peers peers{driver};
};

Machine& machine() {
  static Machine* const of_process = new Machine;
  return *of_process;
}

struct FakeMaker {
  static Result<void> probe(uint32_t device) { return cuda::probe(machine().driver, device); }
  static Result<std::unique_ptr<backend::Backend>> create(const moe_backend_settings& settings) {
    return std::unique_ptr<backend::Backend>(
        std::make_unique<cuda::CudaBackend>(machine().driver, settings, machine().peers, &cuda::functions()));
  }
};

constexpr moe_backend_library kTable = backend::library_table<FakeMaker>("cuda");

}  // namespace
}  // namespace moe::test

extern "C" __attribute__((visibility("default"))) const moe_backend_library* moe_backend_library_table(void) {
  return &moe::test::kTable;
}
