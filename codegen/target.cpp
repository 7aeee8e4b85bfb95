// SPDX-License-Identifier: Apache-2.0
#include <llvm/Analysis/TargetTransformInfo.h>
#include <llvm/CodeGen/MachineModuleInfo.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/TargetParser/SubtargetFeature.h>
#include <llvm/Transforms/Scalar.h>

#include <algorithm>
#include <mutex>

#include "codegen/module.h"

namespace moe::codegen {
namespace {

void initialize_llvm() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
  });
}

std::string host_features() {
  std::vector<std::string> features;
  for (const auto& feature : llvm::sys::getHostCPUFeatures()) {
    features.emplace_back(1, feature.second ? '+' : '-');
    features.back() += feature.first();
  }
  std::sort(features.begin(), features.end());  // StringMap has no order of its own
  std::string text;
  for (const std::string& feature : features) {
    if (!text.empty()) text += ',';
    text += feature;
  }
  return text;
}

/// Lowers what the loop vectoriser may leave, arranges addresses for instruction selection, selects.
///
/// LLVM's own list begins with two dozen passes over the IR that find nothing in a kernel, but one: strength reduction
/// of loops, which takes a sixth of the whole time and gives no faster code (bench/compile, bench/dispatch).
bool add_selection(llvm::TargetPassConfig& config, llvm::legacy::PassManager& passes) {
  struct Opened : llvm::TargetPassConfig {
    using TargetPassConfig::addCoreISelPasses;
  };
  passes.add(llvm::createPreISelIntrinsicLoweringPass());
  passes.add(llvm::createScalarizeMaskedMemIntrinLegacyPass());
  passes.add(llvm::createExpandReductionsPass());
  config.addCodeGenPrepare();
  config.addISelPrepare();
  return (config.*&Opened::addCoreISelPasses)();
}

Result<std::string> emit_machine_code(llvm::Module& module, llvm::TargetMachine& machine, bool assembly) {
  // The only kind of target machine that has instructions.
  auto& target = static_cast<llvm::LLVMTargetMachine&>(machine);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  passes.add(llvm::createTargetTransformInfoWrapperPass(target.getTargetIRAnalysis()));
  auto* info = new llvm::MachineModuleInfoWrapperPass(&target);
  llvm::TargetPassConfig* const config = target.createPassConfig(passes);
  config->setDisableVerify(true);
  passes.add(config);
  passes.add(info);
  const auto kind = assembly ? llvm::CodeGenFileType::AssemblyFile : llvm::CodeGenFileType::ObjectFile;
  bool failed = add_selection(*config, passes);
  if (!failed) {
    config->addMachinePasses();
    config->setInitialized();
    failed = target.addAsmPrinter(passes, stream, nullptr, kind, info->getMMI().getContext());
  }
  if (failed) return Error{Error::Kind::internal, "this target cannot write machine code to memory"};
  passes.add(llvm::createFreeMachineFunctionPass());
  passes.run(module);
  return std::string(bytes.begin(), bytes.end());
}

/// `double f(ptr)`: a load and a sum. Instruction selection makes tables of its own when it first runs, and destroys
/// them at exit; whoever may still be compiling then must have been arranged for after they were made.
std::string compile_something() {
  auto target = make_target("", 2);
  if (!target) return {};
  llvm::LLVMContext context;
  llvm::Module module("first", context);
  module.setTargetTriple((*target)->getTargetTriple().str());
  module.setDataLayout((*target)->createDataLayout());
  llvm::IRBuilder<> builder(context);
  auto* type = llvm::FunctionType::get(builder.getDoubleTy(), {builder.getPtrTy()}, false);
  auto* function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, "f", module);
  builder.SetInsertPoint(llvm::BasicBlock::Create(context, "entry", function));
  llvm::Value* loaded = builder.CreateLoad(builder.getDoubleTy(), function->getArg(0));
  builder.CreateRet(builder.CreateFAdd(loaded, loaded));
  Result<std::string> object = emit_machine_code(module, **target, /*assembly=*/false);
  return object ? std::move(object).value() : std::string();
}

}  // namespace

const Host& host() {  // does not change: asked once
  static const Host found{"LLVM " LLVM_VERSION_STRING, llvm::sys::getHostCPUName().str(), host_features()};
  return found;
}

void prepare() {
  static std::once_flag once;
  std::call_once(once, [] { (void)compile_something(); });
}

// LLD's description of a processor, too, is made by its first link and destroyed at exit.
void prepare_to_link() {
  static std::once_flag once;
  std::call_once(once, [] { (void)link_shared(compile_something(), "first.so"); });
}

Result<std::unique_ptr<llvm::TargetMachine>> make_target(std::string_view cpu, int opt_level) {
  initialize_llvm();
  const std::string triple = llvm::sys::getProcessTriple();
  std::string message;
  const llvm::Target* target = llvm::TargetRegistry::lookupTarget(triple, message);
  if (target == nullptr) return Error{Error::Kind::unsupported, "no code generator for " + triple + ": " + message};

  const bool for_host = cpu.empty() || cpu == "native" || cpu == "host";
  const std::string name = for_host ? host().cpu : std::string(cpu);
  const std::string features = for_host ? host().features : std::string();
  if (!for_host) {
    std::unique_ptr<llvm::MCSubtargetInfo> known(target->createMCSubtargetInfo(triple, "", ""));
    if (!known || !known->isCPUStringValid(name)) {
      return Error{Error::Kind::invalid,
                   "`" + name + "` is not a processor that LLVM knows; try x86-64-v2, x86-64-v3 or native"};
    }
  }
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;  // a*b+c stays two roundings, as in every other engine
  const auto level = static_cast<llvm::CodeGenOptLevel>(std::clamp(opt_level, 0, 3));
  std::unique_ptr<llvm::TargetMachine> machine(
      target->createTargetMachine(triple, name, features, options, llvm::Reloc::PIC_, std::nullopt, level));
  if (!machine) return Error{Error::Kind::internal, "cannot create a code generator for " + name};
  return machine;
}

Result<std::string> emit_machine_code(Unit& unit, bool assembly) {
  return emit_machine_code(*unit.module, unit.target, assembly);
}

}  // namespace moe::codegen
