// SPDX-License-Identifier: Apache-2.0
// moe.h: versions, errors, the runtime.
#include "runtime/abi/backends.h"
#include "runtime/abi/handles.h"
#include "runtime/policy_owner.h"

using moe::fail;
using moe::guarded;

extern "C" {

uint32_t moe_version(void) { return MOE_VERSION_MAJOR * 10000 + MOE_VERSION_MINOR * 100 + MOE_VERSION_PATCH; }

const char* moe_status_text(moe_status status) {
  switch (status) {
    case MOE_OK:
      return "ok";
    case MOE_INVALID:
      return "invalid argument";
    case MOE_BUSY:
      return "busy";
    case MOE_FULL:
      return "full";
    case MOE_NO_MEMORY:
      return "out of memory";
    case MOE_IO:
      return "input/output error";
    case MOE_FORMAT:
      return "bad file format";
    case MOE_UNSUPPORTED:
      return "unsupported";
    case MOE_WOULD_DEADLOCK:
      return "would deadlock";
    case MOE_POLICY_ERROR:
      return "policy has errors";
    case MOE_DEVICE:
      return "device error";
    case MOE_INTERNAL:
      return "internal error";
  }
  return "unknown status";
}

const char* moe_last_error(void) { return moe::last_error(); }

void moe_set_last_error(const char* text) { fail(MOE_OK, "%s", text ? text : ""); }

moe_status moe_runtime_create(const moe_runtime_config* config, moe_runtime** out_runtime) {
  return guarded([&] {
    moe::Result<moe::core::BackendFactory> backend = moe::abi::choose_backend(config);
    if (!backend) return fail(backend.error());
    return moe::core::create_runtime(config, *backend, out_runtime);
  });
}

moe_status moe_runtime_destroy(moe_runtime* runtime) {
  return guarded([&] {
    if (!runtime) return MOE_OK;
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    delete runtime;
    return MOE_OK;
  });
}

moe_status moe_hint(moe_runtime* runtime, uint32_t layer, const int32_t* ids, const float* probabilities, uint32_t n) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    return runtime->hints.post(layer, ids, probabilities, n);
  });
}

}  // extern "C"
