// SPDX-License-Identifier: Apache-2.0
// Internal to codegen: building the module of one policy.
#pragma once
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/compiler.h"
#include "codegen/program.h"

namespace moe::codegen {

/// A module on its way through the pipeline, with what it is made from.
struct Unit {
  const ir::BoundPolicy& policy;
  const Program& program;
  const Options& options;
  llvm::TargetMachine& target;
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> module;
};

/// The constants in the module.
struct PolicyGlobals {
  llvm::GlobalVariable* variants = nullptr;  ///< [num_variants] decision::Params
  llvm::GlobalVariable* changes = nullptr;   ///< decision::Changes; null: nothing changes
  llvm::Type* params_type = nullptr;
};
PolicyGlobals emit_constants(llvm::Module& module, const Program& program);

/// decision::Layout of the policy's state, which all its variants share.
llvm::GlobalVariable* emit_layout(llvm::Module& module, const Program& program);

llvm::GlobalVariable* constant_global(llvm::Module& module, llvm::Constant* value, const char* name);

/// Notes the processor time of its scope in `options.times`, where somebody asked for it.
class StepTimer {
 public:
  StepTimer(const Options& options, std::string_view step);
  ~StepTimer();
  StepTimer(const StepTimer&) = delete;
  StepTimer& operator=(const StepTimer&) = delete;

 private:
  const Options& options_;
  const std::string_view step_;
  double begin_ms_ = 0;
};

/// "moe_policy_NAME".
std::string descriptor_symbol(const ir::BoundPolicy& policy);

/// Writes the policy's own part of the module: constants, manifest, descriptor, note, and a dispatch function that
/// calls the rule's kernel, which is only declared here.
Result<void> emit_policy(Unit& unit);

/// The arrays of predictors that Params points to; null where the policy has none.
struct PredictorTables {
  llvm::Constant* weight_rates;
  llvm::Constant* share_rows;
  llvm::Constant* share_followers;
  llvm::Constant* shares;
  llvm::Constant* weights;
};
PredictorTables emit_predictors(llvm::Module& module, const Program& program);

/// Likewise of `tiers`.
struct TierTables {
  llvm::Constant* sets;
  llvm::Constant* set_of_layer;
};
TierTables emit_tiers(llvm::Module& module, const Program& program);

/// Makes the embedded kernels for the policy's class the unit's module, lazily: no function is read yet.
Result<void> read_kernels(Unit& unit);

/// Reads the functions that those of the policy call, and removes all others.
Result<void> materialize_reachable(Unit& unit);

/// Clones the kernel into every dispatch function with the policy's constants known, and its expressions into it.
/// Nothing but the descriptor is visible from outside afterwards.
Result<void> specialize(Unit& unit);

/// The passes of the unit's level.
Result<void> optimize(Unit& unit);

/// Names of functions that the policy's part of a module defines, and the suffix of those that each variant has.
inline constexpr char kEvaluate[] = "moe_evaluate";
inline constexpr char kCondition[] = "moe_condition";
inline constexpr char kDispatch[] = "dispatch";
inline std::string of_variant(const std::string& name, uint32_t variant) {
  return name + "_" + std::to_string(variant);
}

/// moe_evaluate(), which the kernels ask for the policy's expressions: of all variants, and of each where there are
/// several. moe_condition(), for the rules of `adapt` and the rewards of `choose`.
void emit_expressions(llvm::Module& module, const Program& program);

/// A target machine for `cpu` ("": the host, with exactly its features).
Result<std::unique_ptr<llvm::TargetMachine>> make_target(std::string_view cpu, int opt_level);

/// Runs every step of the table.
Result<void> run_pipeline(Unit& unit);

/// Machine code of a finished module.
Result<std::string> emit_machine_code(Unit& unit, bool assembly);

/// What policies share: exp, log and their like, and phases of a dispatch (runtime/decision/phases.h). Objects that
/// define moe_math_* and moe_phase_*_LEVEL, for linking; and where the function of that name is in this process, 0 for
/// any other name.
std::vector<std::string_view> shared_objects();
uintptr_t shared_function(std::string_view name);

/// Links one object, with what it takes of those, into a shared library, in this process.
Result<std::string> link_shared(std::string_view object, std::string_view soname);
/// Likewise into an object that defines `symbol` and calls none of them.
Result<std::string> link_object_file(std::string_view object, std::string_view symbol);

/// A unit that has been through the pipeline. It refers to the program.
Result<Unit> build_unit(const Program& program, const Options& options, llvm::TargetMachine& target);

}  // namespace moe::codegen
