// SPDX-License-Identifier: Apache-2.0
#include "codegen/any_policy.h"

#include "codegen/native.h"

using moe::codegen::AnyPolicy;
using moe::codegen::Constants;

namespace {

const moe::codegen::SiteTable& sites_of(const moe::decision::Frame& frame) {
  return static_cast<const AnyPolicy*>(Constants::owner_of(*frame.params))->sites();
}

}  // namespace

extern "C" {
// any_policy_kernels.cpp
uint32_t moe_dispatch_any(const moe::decision::Params* first, void* state, const moe::decision::Input* input,
                          moe::decision::Output* output);
// What its kernels ask.
double moe_policy_evaluate(const moe::decision::Frame* frame, uint32_t site, uint32_t key, uint32_t place,
                           uint32_t victim) {
  return sites_of(*frame).evaluate(*frame, site, key, place, victim);
}
double moe_policy_condition(const moe::decision::Frame* frame, uint32_t which) {
  return sites_of(*frame).condition(*frame, which);
}
}

namespace moe::codegen {

AnyPolicy::AnyPolicy(const ir::BoundPolicy& policy) : program_(policy), constants_(program_, this), sites_(program_) {}

Result<std::unique_ptr<AnyPolicy>> AnyPolicy::make(const ir::BoundPolicy& policy) {
  if (Result<void> native = check_native(Program(policy)); !native) return std::move(native).error();
  std::unique_ptr<AnyPolicy> made(new AnyPolicy(policy));
  if (!made->sites_.complete()) {
    return Error{Error::Kind::unsupported, "an expression of policy `" + policy.name + "` has more than " +
                                               std::to_string(SiteTable::kMostSteps) + " parts"};
  }
  return made;
}

uint32_t AnyPolicy::dispatch(void* state, const decision::Input* input, decision::Output* output) const {
  return moe_dispatch_any(&constants_.variant(0), state, input, output);
}

}  // namespace moe::codegen
