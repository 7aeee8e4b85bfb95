// SPDX-License-Identifier: Apache-2.0
// A backend library whose device is host memory, and two that are none: MOE_LIBRARY_VERSION is another one's, or 0 for
// a library without a table.
#include "runtime/backend/export.h"
#include "runtime/backend/host.h"

#if MOE_LIBRARY_VERSION != 0
namespace moe::test {
namespace {

struct HostMaker {
  static Result<void> probe(uint32_t device) {
    if (device == 0) return {};
    return Error{Error::Kind::device, "no such device: there is 1"};
  }
  static Result<std::unique_ptr<backend::Backend>> create(const moe_backend_settings& settings) {
    if (settings.num_keys == 0) return Error{Error::Kind::invalid, "no keys"};
    return std::unique_ptr<backend::Backend>(std::make_unique<backend::HostBackend>(Allocator()));
  }
};

moe_backend_library make_table() {
  moe_backend_library table = backend::library_table<HostMaker>("host");
  table.version = MOE_LIBRARY_VERSION;
  return table;
}

}  // namespace
}  // namespace moe::test

extern "C" __attribute__((visibility("default"))) const moe_backend_library* moe_backend_library_table(void) {
  static const moe_backend_library table = moe::test::make_table();
  return &table;
}
#endif
