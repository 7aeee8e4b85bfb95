// SPDX-License-Identifier: Apache-2.0
// The passes of each level. LLVM's default pipelines are made for whole programs that nobody has optimised yet; the
// kernels have been through one when this library was built, and specialize() has left one function of some hundred
// instructions. What remains is to forward, fold and hoist what the constants made simple, and to vectorise.
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/LoopPassManager.h>
#include <llvm/Transforms/Scalar/LoopUnrollPass.h>
#include <llvm/Transforms/Scalar/SROA.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>
#include <llvm/Transforms/Utils/LoopUtils.h>
#include <llvm/Transforms/Vectorize/LoopVectorize.h>

#include "codegen/module.h"

namespace moe::codegen {
namespace {

/// Small loops of constant length, as clang does; but a loop over whole vectors is code enough.
struct UnrollSmallLoops : llvm::PassInfoMixin<UnrollSmallLoops> {
  llvm::PreservedAnalyses run(llvm::Loop& loop, llvm::LoopAnalysisManager& analyses,
                              llvm::LoopStandardAnalysisResults& results, llvm::LPMUpdater& updater) {
    if (llvm::getBooleanLoopAttribute(&loop, "llvm.loop.isvectorized")) return llvm::PreservedAnalyses::all();
    return llvm::LoopFullUnrollPass(2, false, true).run(loop, analyses, results, updater);
  }
};

llvm::SimplifyCFGOptions last_shape() {
  return llvm::SimplifyCFGOptions()
      .convertSwitchRangeToICmp(true)
      .forwardSwitchCondToPhi(true)
      .needCanonicalLoops(false)
      .hoistCommonInsts(true)
      .sinkCommonInsts(true);
}

llvm::FunctionPassManager quick_passes() {
  llvm::FunctionPassManager passes;
  passes.addPass(llvm::SROAPass(llvm::SROAOptions::PreserveCFG));
  passes.addPass(llvm::EarlyCSEPass());
  passes.addPass(llvm::SimplifyCFGPass());
  return passes;
}

llvm::FunctionPassManager lean_passes(int opt_level) {
  llvm::FunctionPassManager passes;
  passes.addPass(llvm::SROAPass(llvm::SROAOptions::ModifyCFG));
  passes.addPass(llvm::EarlyCSEPass(/*UseMemorySSA=*/true));
  passes.addPass(llvm::SimplifyCFGPass());
  passes.addPass(llvm::InstCombinePass());
  if (opt_level >= 2) {
    passes.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LICMPass(llvm::LICMOptions()), /*UseMemorySSA=*/true));
    passes.addPass(llvm::LoopVectorizePass());
    passes.addPass(llvm::createFunctionToLoopPassAdaptor(UnrollSmallLoops()));
  }
  passes.addPass(llvm::SimplifyCFGPass(last_shape()));
  return passes;
}

}  // namespace

Result<void> optimize(Unit& unit) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&unit.target);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  if (unit.options.opt_level >= 3) {
    builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(*unit.module, modules);
    return {};
  }
  llvm::FunctionPassManager passes = unit.options.opt_level >= 1 ? lean_passes(unit.options.opt_level) : quick_passes();
  for (llvm::Function& function : *unit.module) {
    if (!function.isDeclaration()) passes.run(function, functions);
  }
  return {};
}

}  // namespace moe::codegen
