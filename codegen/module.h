// SPDX-License-Identifier: Apache-2.0
// Internal to codegen: building the module of one policy.
#pragma once
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include <memory>
#include <string>

#include "codegen/compiler.h"

namespace moe::codegen {

/// A module on its way through the pipeline, with what it is made from.
struct Unit {
  const ir::BoundPolicy& policy;
  const Options& options;
  llvm::TargetMachine& target;
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> module;
};

/// The bitcode of runtime/decision/kernels.cpp, embedded in this library.
std::string_view kernel_bitcode();

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
PredictorTables emit_predictors(llvm::Module& module, const ir::BoundPolicy& policy);

/// moe_evaluate(), which the kernels ask for the policy's expressions.
void emit_expressions(llvm::Module& module, const ir::BoundPolicy& policy);

/// A target machine for `cpu` ("": the host, with exactly its features).
Result<std::unique_ptr<llvm::TargetMachine>> make_target(std::string_view cpu, int opt_level);

/// Runs every step of the table.
Result<void> run_pipeline(Unit& unit);

/// Machine code of a finished module.
Result<std::string> emit_machine_code(Unit& unit, bool assembly);

/// Links one object into a shared library, in this process.
Result<std::string> link_shared(std::string_view object, std::string_view soname);

/// A unit that has been through the pipeline.
Result<Unit> build_unit(const ir::BoundPolicy& policy, const Options& options, llvm::TargetMachine& target);

}  // namespace moe::codegen
