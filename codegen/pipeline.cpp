// SPDX-License-Identifier: Apache-2.0
// The steps from a policy's constants to an optimised module, as one table.
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/DiagnosticPrinter.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/raw_ostream.h>

#include "codegen/module.h"
#include "codegen/native.h"

namespace moe::codegen {
namespace {

/// The policy's part is written into the kernels' module: nothing has to be linked. What the kernels declare of it
/// under a name of their own is what the policy defines.
Result<void> emit(Unit& unit) {
  if (Result<void> done = emit_policy(unit); !done) return done;
  const auto define = [&](const char* declared, const char* defined) {
    llvm::Function* const called = unit.module->getFunction(declared);
    if (called == nullptr) return;
    called->replaceAllUsesWith(unit.module->getFunction(defined));
    called->eraseFromParent();
  };
  define("moe_policy_evaluate", kEvaluate);
  define("moe_policy_condition", kCondition);
  if (llvm::GlobalVariable* const declared = unit.module->getGlobalVariable("moe_layout")) {
    declared->replaceAllUsesWith(emit_layout(*unit.module, unit.program));
    declared->eraseFromParent();
  }
  return {};
}

#ifndef NDEBUG
Result<void> check_module(Unit& unit) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (!llvm::verifyModule(*unit.module, &stream)) return {};
  return Error{Error::Kind::internal, "generated LLVM IR is malformed: " + stream.str()};
}
#endif

struct Step {
  std::string_view name;
  Result<void> (*run)(Unit&);
};

constexpr Step kSteps[] = {
    {"read-kernels", read_kernels},  // the kernels' bitcode, nothing of it read yet
    {"emit-policy", emit},           // constants, descriptor, expressions, a call of the rule's kernel
    {"specialize", specialize},      // the kernel cloned into that call, and folded
#ifndef NDEBUG
    {"verify", check_module},  // what we made is well formed
#endif
    {"optimize", optimize},  // -O0 .. -O3
};

}  // namespace

std::vector<std::string_view> step_names() {
  std::vector<std::string_view> names;
  for (const Step& step : kSteps) names.push_back(step.name);
  return names;
}

Result<void> run_pipeline(Unit& unit) {
  for (const Step& step : kSteps) {
    {
      const StepTimer timer(unit.options, step.name);
      if (Result<void> done = step.run(unit); !done) return done;
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
  Unit unit{program.policy, program, options, target, std::move(context), nullptr};
  if (Result<void> done = run_pipeline(unit); !done) return std::move(done).error();
  return unit;
}

}  // namespace moe::codegen
