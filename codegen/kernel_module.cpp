// SPDX-License-Identifier: Apache-2.0
// The kernels' bitcode: read lazily, so that a policy pays for the functions it calls and for no other.
#include <llvm/Bitcode/BitcodeReader.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/InstrTypes.h>

#include "codegen/kernel_class.h"
#include "codegen/module.h"

namespace moe::codegen {
namespace {

Error llvm_error(llvm::Error error, const char* doing) {
  return {Error::Kind::internal, std::string(doing) + ": " + llvm::toString(std::move(error))};
}

/// The bitcode was compiled for the oldest x86-64; the target machine decides now.
void forget_target(llvm::Function& function) {
  for (const char* attribute : {"target-cpu", "target-features", "tune-cpu", "min-legal-vector-width"}) {
    function.removeFnAttr(attribute);
  }
}

}  // namespace

Result<void> read_kernels(Unit& unit) {
  const KernelClass* const its = class_of(unit.program.params, unit.program.has_changes);
  const std::string_view bitcode = kernel_bitcode(its);
  auto kernels =
      llvm::getLazyBitcodeModule(llvm::MemoryBufferRef({bitcode.data(), bitcode.size()}, "kernels"), *unit.context);
  if (!kernels) return llvm_error(kernels.takeError(), "cannot read the embedded kernels");
  unit.module = std::move(*kernels);
  unit.module->setModuleIdentifier(unit.policy.name);
  unit.module->setSourceFileName(unit.policy.name);
  return {};
}

Result<void> materialize_reachable(Unit& unit) {
  // Kernels name them in many places. Without tiers every call in a dispatch folds away, and need not be followed; what
  // is done to instances under other rules reads its constants at run time.
  const bool calls_tiers = !unit.program.tier_sets.empty() || unit.program.params.front().room.rules_differ != 0;
  for (llvm::Function& function : *unit.module) {
    const bool of_tiers = function.getName().starts_with("moe_tiers_");
    if (of_tiers && !calls_tiers && function.isMaterializable()) function.deleteBody();
  }
  std::vector<llvm::Function*> pending;
  for (llvm::Function& function : *unit.module) {
    if (!function.isDeclaration() && !function.isMaterializable()) pending.push_back(&function);
  }
  while (!pending.empty()) {
    llvm::Function& caller = *pending.back();
    pending.pop_back();
    for (llvm::Instruction& instruction : llvm::instructions(caller)) {
      const auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction);
      llvm::Function* callee = call != nullptr ? call->getCalledFunction() : nullptr;
      if (callee == nullptr || !callee->isMaterializable()) continue;
      if (llvm::Error error = callee->materialize()) return llvm_error(std::move(error), "cannot read a kernel");
      forget_target(*callee);
      pending.push_back(callee);
    }
  }
  // What is left was never read: as declarations that nobody calls they can go.
  for (llvm::Function& function : llvm::make_early_inc_range(*unit.module)) {
    if (!function.isMaterializable()) continue;
    function.deleteBody();
    if (function.use_empty()) function.eraseFromParent();
  }
  if (llvm::Error error = unit.module->materializeAll()) return llvm_error(std::move(error), "cannot read the kernels");
  return {};
}

}  // namespace moe::codegen
