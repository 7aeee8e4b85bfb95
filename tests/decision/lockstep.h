// SPDX-License-Identifier: Apache-2.0
// The reference interpreter, the statically compiled kernels, those that serve every policy, and the JIT side by side.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "codegen/any_policy.h"
#include "codegen/compiler.h"
#include "runtime/decision/abi.h"
#include "tests/decision/case.h"

namespace moe::test {

/// A policy for all engines.
class Contender {
 public:
  /// Null with what the compiler says in `error`, else bound and compiled.
  static std::shared_ptr<const Contender> compile(ir::BoundPolicy policy, std::string& error);

  const ir::BoundPolicy& policy() const { return policy_; }
  const decision::Descriptor& jit() const { return code_->descriptor(); }
  const codegen::AnyPolicy& for_any() const { return *any_; }
  bool has_changes() const { return jit().params->changes != nullptr; }
  const decision::Params* for_static() const { return has_static_ ? &static_params_ : nullptr; }
  /// Whether a swap carries over all that it holds.
  bool may_swap() const { return jit().params->num_tier_sets == 0; }

 private:
  ir::BoundPolicy policy_;
  std::unique_ptr<codegen::JitPolicy> code_;
  std::unique_ptr<codegen::AnyPolicy> any_;
  decision::Params static_params_{};
  bool has_static_ = false;
};
using Contenders = std::vector<std::shared_ptr<const Contender>>;

/// What the runs brought about, so that a run shows whether it tried what it is for.
struct Tally {
  uint64_t policies = 0;
  uint64_t with_static = 0;  ///< of these, with a static kernel
  uint64_t with_changes = 0;
  uint64_t dispatches = 0;
  uint64_t of_static = 0;  ///< dispatches that a static kernel decided too
  uint64_t swaps = 0;
  uint64_t moves = 0;  ///< between tiers
  uint64_t copies = 0;
  uint64_t raised = 0;
  std::array<uint64_t, 8> actions{};  ///< by ir::Action

  void add(const Contenders& compiled);
  void add(const ir::Decision& decision);
  std::string text() const;
};

/// Runs the steps through all engines, from the first policy on: every decision, the residents, who leaves at a swap,
/// and after each dispatch the invariants of the kernels' state. "" when they agree to the end.
std::string first_difference(const Contenders& policies, const std::vector<Step>& steps, Tally& tally);

}  // namespace moe::test
