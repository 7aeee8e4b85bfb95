// SPDX-License-Identifier: Apache-2.0
// The steps from a policy's constants to an optimised module, as one table.
#include <llvm/Bitcode/BitcodeReader.h>
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/DiagnosticPrinter.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Linker/Linker.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Transforms/IPO/Internalize.h>

#include <chrono>

#include "codegen/module.h"
#include "codegen/native.h"

namespace moe::codegen {
namespace {

Error llvm_error(llvm::Error error, const char* doing) {
  return {Error::Kind::internal, std::string(doing) + ": " + llvm::toString(std::move(error))};
}

/// Takes in the one kernel that the module calls. The bitcode is read lazily: other rules' kernels are never
/// materialised.
Result<void> link_kernel(Unit& unit) {
  const std::string_view bitcode = kernel_bitcode();
  auto kernels =
      llvm::getLazyBitcodeModule(llvm::MemoryBufferRef({bitcode.data(), bitcode.size()}, "kernels"), *unit.context);
  if (!kernels) return llvm_error(kernels.takeError(), "cannot read the embedded kernels");
  (*kernels)->setDataLayout(unit.module->getDataLayout());
  (*kernels)->setTargetTriple(unit.module->getTargetTriple());
  if (llvm::Linker::linkModules(*unit.module, std::move(*kernels), llvm::Linker::Flags::LinkOnlyNeeded)) {
    return Error{Error::Kind::internal, "cannot link the decision kernel into the policy's module"};
  }
  return {};
}

/// The bitcode was compiled for the oldest x86-64; the target machine decides now.
Result<void> retarget(Unit& unit) {
  for (llvm::Function& function : *unit.module) {
    for (const char* attribute : {"target-cpu", "target-features", "tune-cpu", "min-legal-vector-width"}) {
      function.removeFnAttr(attribute);
    }
    for (const char* part : {"moe_kernel_", "moe_value_", "moe_victim_", "moe_math_", "moe_metric", "moe_look_back_",
                             "moe_variant_of", "_ZN3moe4math"}) {
      if (function.getName().starts_with(part)) function.addFnAttr(llvm::Attribute::AlwaysInline);
    }
  }
  return {};
}

/// Only the descriptor is seen from outside.
Result<void> internalize(Unit& unit) {
  const std::string symbol = descriptor_symbol(unit.policy);
  llvm::internalizeModule(*unit.module, [&](const llvm::GlobalValue& value) { return value.getName() == symbol; });
  return {};
}

llvm::OptimizationLevel level_of(int opt_level) {
  switch (opt_level) {
    case 0:
      return llvm::OptimizationLevel::O0;
    case 1:
      return llvm::OptimizationLevel::O1;
    case 3:
      return llvm::OptimizationLevel::O3;
    default:
      return llvm::OptimizationLevel::O2;
  }
}

/// LLVM's standard pipeline: inlining puts the constants where the kernel reads them, and everything folds.
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
  const llvm::OptimizationLevel level = level_of(unit.options.opt_level);
  llvm::ModulePassManager pipeline = level == llvm::OptimizationLevel::O0
                                         ? builder.buildO0DefaultPipeline(level)
                                         : builder.buildPerModuleDefaultPipeline(level);
  pipeline.run(*unit.module, modules);
  return {};
}

Result<void> check_module(Unit& unit) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (!llvm::verifyModule(*unit.module, &stream)) return {};
  return Error{Error::Kind::internal, "generated LLVM IR is malformed: " + stream.str()};
}

struct Step {
  std::string_view name;
  Result<void> (*run)(Unit&);
};

constexpr Step kSteps[] = {
    {"emit-policy", emit_policy},  // constants, descriptor, a call of the rule's kernel
    {"link-kernel", link_kernel},  // the kernel's bitcode
    {"retarget", retarget},        // for this processor
    {"internalize", internalize},  // nothing but the descriptor is seen from outside
    {"verify", check_module},      // what we made is well formed
    {"optimize", optimize},        // -O0 .. -O3
};

}  // namespace

std::vector<std::string_view> step_names() {
  std::vector<std::string_view> names;
  for (const Step& step : kSteps) names.push_back(step.name);
  return names;
}

Result<void> run_pipeline(Unit& unit) {
  using Clock = std::chrono::steady_clock;
  for (const Step& step : kSteps) {
    const Clock::time_point begin = Clock::now();
    if (Result<void> done = step.run(unit); !done) return done;
    if (unit.options.times != nullptr) {
      unit.options.times->push_back(
          {step.name, std::chrono::duration<double, std::milli>(Clock::now() - begin).count()});
    }
    if (unit.options.print && unit.options.print_after == step.name) {
      std::string text;
      llvm::raw_string_ostream stream(text);
      unit.module->print(stream, nullptr);
      unit.options.print(stream.str());
    }
  }
  return {};
}

Result<Unit> build_unit(const Program& program, const Options& options, llvm::TargetMachine& target) {
  if (Result<void> native = check_native(program); !native) return std::move(native).error();
  auto context = std::make_unique<llvm::LLVMContext>();
  // A loop that least(E) cannot have vectorised is no news to whoever compiles a policy. Errors are printed.
  context->setDiagnosticHandlerCallBack([](const llvm::DiagnosticInfo* info, void*) {
    if (info->getSeverity() != llvm::DS_Error) return;
    llvm::DiagnosticPrinterRawOStream printer(llvm::errs());
    info->print(printer);
    llvm::errs() << '\n';
  });
  auto module = std::make_unique<llvm::Module>(program.policy.name, *context);
  Unit unit{program.policy, program, options, target, std::move(context), std::move(module)};
  if (Result<void> done = run_pipeline(unit); !done) return std::move(done).error();
  return unit;
}

}  // namespace moe::codegen
