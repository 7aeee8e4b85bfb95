// SPDX-License-Identifier: Apache-2.0
// moe.h: policies. moe_policy_compile and the diagnostics are libmoec's.
#include "runtime/abi/handles.h"
#include "runtime/policy_owner.h"
#include "runtime/structs.h"

using moe::fail;
using moe::guarded;

namespace {

moe_status hand_out(moe::Result<moe::PolicyRef> policy, moe_policy** out_policy) {
  if (!policy) return fail(policy.error());
  *out_policy = policy->release();
  return MOE_OK;
}

}  // namespace

extern "C" {

moe_status moe_policy_load(const char* path_to_so, moe_policy** out_policy) {
  return guarded([&] {
    if (!path_to_so) return fail(MOE_INVALID, "`path_to_so` is NULL");
    if (!out_policy) return fail(MOE_INVALID, "`out_policy` is NULL");
    return hand_out(moe::load_policy(path_to_so), out_policy);
  });
}

moe_status moe_policy_from_descriptor(const void* descriptor, moe_policy** out_policy) {
  return moe_policy_from_descriptor_owned(descriptor, nullptr, nullptr, out_policy);
}

moe_status moe_policy_from_descriptor_owned(const void* descriptor, void (*free_fn)(void* user), void* user,
                                            moe_policy** out_policy) {
  return guarded([&] {
    if (!out_policy) return fail(MOE_INVALID, "`out_policy` is NULL");
    const auto* given = static_cast<const moe::decision::Descriptor*>(descriptor);
    return hand_out(moe::policy_from_descriptor(given, free_fn, user), out_policy);
  });
}

moe_status moe_policy_from_params_owned(const void* params, moe_decide_fn decide, const char* manifest,
                                        void (*free_fn)(void* user), void* user, moe_policy** out_policy) {
  return guarded([&] {
    if (!params || !manifest || !out_policy) return fail(MOE_INVALID, "an argument is NULL");
    const auto& given = *static_cast<const moe::decision::Params*>(params);
    return hand_out(moe::policy_from_params(given, decide, manifest, free_fn, user), out_policy);
  });
}

moe_status moe_policy_set_program(moe_policy* policy, const char* program) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_policy(policy)) return status;
    if (!program) return fail(MOE_INVALID, "`program` is NULL");
    policy->program = program;
    return MOE_OK;
  });
}

void moe_policy_expect_code(moe_policy* policy) {
  moe::PolicyRef::share(policy).release();
  policy->expects_code.store(1, std::memory_order_relaxed);
}

void moe_policy_take_code(moe_policy* policy, const void* descriptor, void (*free_fn)(void* user), void* user,
                          moe_status status, const char* error) {
  const moe::PolicyRef given_back(policy);
  policy->later = {free_fn, user};
  policy->later_status = status;
  policy->later_error = error != nullptr ? error : "";
  if (descriptor != nullptr) {
    const auto* code = static_cast<const moe::decision::Descriptor*>(descriptor);
    policy->dispatch.store(code->dispatch, std::memory_order_release);
  }
  policy->expects_code.store(0, std::memory_order_release);
  policy->expects_code.notify_all();
}

moe_status moe_policy_wait(moe_policy* policy) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_policy(policy)) return status;
    policy->expects_code.wait(1, std::memory_order_acquire);
    if (policy->later_status != MOE_OK) return fail(policy->later_status, "%s", policy->later_error.c_str());
    return MOE_OK;
  });
}

moe_status moe_policy_resident(const moe_model_shape* shape, moe_policy** out_policy) {
  return guarded([&] {
    if (!out_policy) return fail(MOE_INVALID, "`out_policy` is NULL");
    moe_model_shape checked;
    if (const moe_status status = moe::abi::read_struct(shape, checked, "shape")) return status;
    return hand_out(moe::resident_policy(checked), out_policy);
  });
}

const char* moe_policy_manifest(const moe_policy* policy) {
  return moe::abi::check_policy(policy) == MOE_OK ? policy->manifest.c_str() : nullptr;
}

moe_status moe_policy_destroy(moe_policy* policy) {
  return guarded([&] {
    if (!policy) return MOE_OK;
    if (const moe_status status = moe::abi::check_policy(policy)) return status;
    moe::PolicyRef last_of_the_handle(policy);
    return MOE_OK;
  });
}

moe_status moe_policy_attach(moe_runtime* runtime, moe_policy* policy) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    if (const moe_status status = moe::abi::check_policy(policy)) return status;
    return moe::core::attach(*runtime, *policy);
  });
}

}  // extern "C"
