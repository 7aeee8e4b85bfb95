// SPDX-License-Identifier: Apache-2.0
// A step of the build: from the bitcode of the whole kernels, a module for each class of policies (kernel_class.h) in
// which what the class knows is folded.
//
//   moe-split-kernels KERNELS.bc OUT.bin OUT.inc
//
// OUT.bin has all modules behind one another, the whole kernels first; OUT.inc lists them as {begin, size}.
#include <llvm/Bitcode/BitcodeReader.h>
#include <llvm/Bitcode/BitcodeWriter.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Transforms/IPO/GlobalDCE.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "codegen/kernel_class.h"

namespace {

using namespace moe::codegen;

constexpr char kKernel[] = "moe_kernel_";

[[noreturn]] void fail(const std::string& reason) {
  llvm::errs() << "moe-split-kernels: " << reason << '\n';
  std::exit(1);
}

/// What a read of `field` gives: its known bits, and those that are not known as read.
llvm::Value* known_value(llvm::LoadInst& load, const KnownField& field) {
  llvm::IRBuilder<> builder(load.getNextNode());
  if (load.getType()->isPointerTy()) {
    if (field.value != 0) fail("a pointer can only be known to be null");
    return llvm::Constant::getNullValue(load.getType());
  }
  llvm::Type* const bits = builder.getIntNTy(static_cast<unsigned>(field.size * 8));
  llvm::Value* value = llvm::ConstantInt::get(bits, field.value);
  const uint64_t unknown = ~field.mask & (field.size == 8 ? ~uint64_t{0} : ~uint32_t{0});
  if (unknown != 0) {
    llvm::Value* const read = builder.CreateAlignedLoad(bits, load.getPointerOperand(), load.getAlign());
    value = builder.CreateOr(builder.CreateAnd(read, unknown), value);
  }
  return builder.CreateBitCast(value, load.getType());
}

/// Puts what is known in the place of the kernel's reads of its first argument. False: there was none to fold.
bool fold_known(llvm::Function& kernel, const KernelClass& its) {
  bool folded = false;
  const llvm::DataLayout& layout = kernel.getParent()->getDataLayout();
  std::vector<llvm::LoadInst*> reads;
  for (llvm::Instruction& instruction : llvm::instructions(kernel)) {
    if (auto* load = llvm::dyn_cast<llvm::LoadInst>(&instruction)) reads.push_back(load);
  }
  for (llvm::LoadInst* load : reads) {
    llvm::APInt offset(64, 0);
    const llvm::Value* base = load->getPointerOperand()->stripAndAccumulateConstantOffsets(layout, offset, true);
    if (base != kernel.getArg(0)) continue;
    // Constants stay what they are whatever phases the kernel calls.
    load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(load->getContext(), {}));
    const uint64_t size = layout.getTypeStoreSize(load->getType());
    for (const KnownField& field : its.known) {
      if (field.offset != offset.getZExtValue() || field.size != size) continue;
      load->replaceAllUsesWith(known_value(*load, field));
      load->eraseFromParent();
      folded = true;
      break;
    }
  }
  return folded;
}

/// Runs passes as clang does before a ThinLTO link: what is left is simplified, and not yet vectorised.
class Simplifier {
 public:
  Simplifier() {
    builder_.registerModuleAnalyses(modules_);
    builder_.registerCGSCCAnalyses(components_);
    builder_.registerFunctionAnalyses(functions_);
    builder_.registerLoopAnalyses(loops_);
    builder_.crossRegisterProxies(loops_, functions_, components_, modules_);
  }

  void run(llvm::Function& kernel) {
    llvm::FunctionPassManager passes;
    passes.addPass(llvm::SimplifyCFGPass());  // most of the kernel goes here
    passes.addPass(builder_.buildFunctionSimplificationPipeline(llvm::OptimizationLevel::O2,
                                                                llvm::ThinOrFullLTOPhase::ThinLTOPreLink));
    passes.run(kernel, functions_);
  }

  void erase_unused(llvm::Module& module) { llvm::GlobalDCEPass().run(module, modules_); }

 private:
  llvm::LoopAnalysisManager loops_;
  llvm::FunctionAnalysisManager functions_;
  llvm::CGSCCAnalysisManager components_;
  llvm::ModuleAnalysisManager modules_;
  llvm::PassBuilder builder_;
};

/// Whether expressions may call it. None of a class with expressions reads what predictors and the learner say.
bool is_for_expressions(const llvm::Function& function) {
  const llvm::StringRef name = function.getName();
  if (name.ends_with("_value") || name.ends_with("_predicted") || name.ends_with("_foretold")) return false;
  return name.starts_with("moe_value_") || name.starts_with("moe_victim_") || name.starts_with("moe_metric") ||
         name.starts_with("moe_look_back_") || name.starts_with("moe_math_");
}

std::string module_of(llvm::MemoryBufferRef kernels, const KernelClass& its) {
  llvm::LLVMContext context;
  auto read = llvm::parseBitcodeFile(kernels, context);
  if (!read) fail(llvm::toString(read.takeError()));
  llvm::Module& module = **read;
  Simplifier simplifier;
  const auto is_wanted = [&](const llvm::Function& function) {
    if (function.getName() == "moe_kernel_segmented") return false;
    if (function.getName() == "moe_kernel_least") return its.has_expressions;
    if (function.getName() == "moe_variant_of") return its.has_changes;
    return function.getName().starts_with(kKernel) || (its.has_expressions && is_for_expressions(function));
  };
  for (llvm::Function& function : module) {
    if (function.isDeclaration()) continue;
    if (!is_wanted(function)) {
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
    } else if (function.getName().starts_with(kKernel)) {
      // A read whose address was one of several is only seen once the others have gone.
      for (int round = 0; round < 3 && fold_known(function, its); ++round) simplifier.run(function);
    }
  }
  simplifier.erase_unused(module);
  std::string bytes;
  llvm::raw_string_ostream stream(bytes);
  llvm::WriteBitcodeToFile(module, stream);
  return bytes;
}

std::vector<std::string> modules_of(llvm::MemoryBufferRef kernels) {
  const std::vector<KernelClass>& classes = kernel_classes();
  std::vector<std::string> modules(classes.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < classes.size(); i = next++) modules[i] = module_of(kernels, classes[i]);
  };
  std::vector<std::thread> threads(std::max(1U, std::thread::hardware_concurrency()));
  for (std::thread& thread : threads) thread = std::thread(work);
  for (std::thread& thread : threads) thread.join();
  return modules;
}

/// A context whose address goes to a call lives in memory, and no constant can be followed through it.
void refuse_calls(llvm::MemoryBufferRef kernels) {
  llvm::LLVMContext context;
  auto read = llvm::getLazyBitcodeModule(kernels, context);
  if (!read) fail(llvm::toString(read.takeError()));
  for (const llvm::Function& function : **read) {
    if (function.isDeclaration() || !function.getName().starts_with("_Z")) continue;
    fail(function.getName().str() + " was not inlined: whatever a kernel does says MOE_INLINE or MOE_FOLDED");
  }
}

void write(const char* path, llvm::StringRef text) {
  std::error_code error;
  llvm::raw_fd_ostream stream(path, error);
  stream << text;
  stream.close();
  if (error || stream.has_error()) fail(std::string("cannot write ") + path);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) fail("usage: moe-split-kernels KERNELS.bc OUT.bin OUT.inc");
  auto kernels = llvm::MemoryBuffer::getFile(argv[1]);
  if (!kernels) fail(std::string("cannot read ") + argv[1]);
  std::string bytes, index;
  const auto add = [&](llvm::StringRef module) {
    bytes.resize((bytes.size() + 15) / 16 * 16);
    index += "{" + std::to_string(bytes.size()) + ", " + std::to_string(module.size()) + "},\n";
    bytes += module;
  };
  refuse_calls((*kernels)->getMemBufferRef());
  add((*kernels)->getBuffer());
  for (const std::string& module : modules_of((*kernels)->getMemBufferRef())) add(module);
  write(argv[2], bytes);
  write(argv[3], index);
}
