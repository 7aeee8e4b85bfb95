// SPDX-License-Identifier: Apache-2.0
// The policy's constants meet the kernel before any pass runs: the kernel is cloned into the policy's dispatch function
// with its parameters known, and the cloner folds what depends on them and leaves out the branches that are never
// taken. Nine tenths of a kernel are gone when the optimiser sees it. The bitcode helps: in it everything is inlined
// into the kernel, so that every read of a parameter is in reach of the constant.
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/Transforms/Utils/Cloning.h>
#include <llvm/Transforms/Utils/LoopUtils.h>

#include <map>
#include <mutex>

#include "codegen/module.h"

namespace moe::codegen {
namespace {

llvm::Function* callee_of(const llvm::CallBase& call) {
  llvm::Function* callee = call.getCalledFunction();
  return callee != nullptr && !callee->isDeclaration() ? callee : nullptr;
}

bool begins_with(const llvm::Function& function, llvm::StringRef prefix) {
  return function.getName().starts_with(prefix);
}

/// Reads of the expressions' leaves, which the frame is passed to.
bool is_value(const llvm::Function& function) {
  return begins_with(function, "moe_value_") || begins_with(function, "moe_victim_") ||
         begins_with(function, "moe_metric") || begins_with(function, "moe_look_back_");
}
bool is_math(const llvm::Function& function) { return begins_with(function, "moe_math_"); }

/// Inlines into one dispatch function.
class Specializer {
 public:
  Specializer(llvm::Function& dispatch, bool one_of_several) : dispatch_(dispatch), copies_(one_of_several) {}

  /// False: LLVM refused.
  bool run() {
    for (llvm::CallBase* call : calls([](const llvm::Function& f) { return begins_with(f, "moe_kernel_"); })) {
      params_ = call->getArgOperand(0);
      if (!inline_call(*call)) return false;
    }
    ask_own_expressions();
    if (!inline_all([](const llvm::Function& f) { return f.getName().starts_with(kEvaluate); })) return false;
    if (!inline_all([](const llvm::Function& f) { return f.getName() == kCondition; })) return false;
    for (llvm::CallBase* call : calls(is_value)) {
      call->setCalledFunction(with_params(*callee_of(*call)));
      if (!inline_call(*call)) return false;
    }
    const bool done = inline_all(is_small) && inline_vectorized_math();
    for (const auto& [from, its] : with_params_) {
      if (copies_) its->eraseFromParent();
    }
    return done;
  }

 private:
  template <class Wanted>
  std::vector<llvm::CallBase*> calls(Wanted wanted) {
    std::vector<llvm::CallBase*> found;
    for (llvm::Instruction& instruction : llvm::instructions(dispatch_)) {
      auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction);
      const llvm::Function* callee = call != nullptr ? callee_of(*call) : nullptr;
      if (callee != nullptr && wanted(*callee)) found.push_back(call);
    }
    return found;
  }

  template <class Wanted>
  bool inline_all(Wanted wanted) {
    for (llvm::CallBase* call : calls(wanted)) {
      if (!inline_call(*call)) return false;
    }
    return true;
  }

  /// Of several variants, the dispatch of one asks only its own.
  void ask_own_expressions() {
    const llvm::StringRef variant = dispatch_.getName().drop_front(llvm::StringRef(kDispatch).size());
    llvm::Function* own = dispatch_.getParent()->getFunction((kEvaluate + variant).str());
    for (llvm::CallBase* call : calls([](const llvm::Function& f) { return f.getName() == kEvaluate; })) {
      call->setCalledFunction(own);
    }
  }

  static bool inline_call(llvm::CallBase& call) {
    llvm::InlineFunctionInfo info;
    return llvm::InlineFunction(call, info).isSuccess();
  }

  /// min, sqrt and their like: no more code than their call.
  static bool is_small(const llvm::Function& function) {
    return is_math(function) && function.getInstructionCount() <= 4;
  }

  /// `function` with the policy's constants in the place of those that it would read through its frame, whose first
  /// field points to them: a copy, where several variants have constants of their own.
  llvm::Function* with_params(llvm::Function& function) {
    llvm::Function*& its = with_params_[&function];
    if (its != nullptr) return its;
    its = &function;
    if (copies_) {
      llvm::ValueToValueMapTy values;
      its = llvm::CloneFunction(&function, values);
    }
    for (llvm::Instruction& instruction : llvm::make_early_inc_range(llvm::instructions(*its))) {
      auto* load = llvm::dyn_cast<llvm::LoadInst>(&instruction);
      if (load == nullptr || load->getPointerOperand() != its->getArg(0) || !load->getType()->isPointerTy()) continue;
      load->replaceAllUsesWith(params_);
      load->eraseFromParent();
    }
    return its;
  }

  /// exp and log are calls, but in the loops over candidates, which a call would keep from being vectorised.
  bool inline_vectorized_math() {
    std::vector<llvm::CallBase*> in_loops;
    const std::vector<llvm::CallBase*> all = calls(is_math);
    if (all.empty()) return true;
    llvm::DominatorTree tree(dispatch_);
    const llvm::LoopInfo loops(tree);
    for (llvm::CallBase* call : all) {
      const llvm::Loop* loop = loops.getLoopFor(call->getParent());
      if (loop != nullptr && llvm::getBooleanLoopAttribute(loop, "llvm.loop.vectorize.enable"))
        in_loops.push_back(call);
    }
    for (llvm::CallBase* call : in_loops) {
      if (!inline_call(*call)) return false;
    }
    return true;
  }

  llvm::Function& dispatch_;
  const bool copies_;
  llvm::Value* params_ = nullptr;
  std::map<llvm::Function*, llvm::Function*> with_params_;
};

void erase_unused(llvm::Module& module) {
  bool erased = true;
  while (erased) {
    erased = false;
    for (llvm::Function& function : llvm::make_early_inc_range(module)) {
      if (!function.use_empty() || !(function.isDeclaration() || function.hasLocalLinkage())) continue;
      function.eraseFromParent();
      erased = true;
    }
  }
}

/// The level of x86-64 that the phases for a target machine were compiled for. LLVM takes 2 ms to say what a processor
/// has, so each is asked once.
const char* level_of(const llvm::TargetMachine& target) {
  static std::mutex one_at_a_time;
  // Never destroyed: a process that ends waits for the thread that compiles, after destructors of what is made here.
  static auto& known = *new std::map<std::string, const char*>;
  const std::lock_guard<std::mutex> lock(one_at_a_time);
  const char*& level = known[(target.getTargetCPU() + "/" + target.getTargetFeatureString()).str()];
  if (level == nullptr) {
    const llvm::MCSubtargetInfo& has = *target.getMCSubtargetInfo();
    const bool v3 = has.checkFeatures("+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe");
    const bool v4 = v3 && has.checkFeatures("+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl");
    level = v4 ? "_v4" : v3 ? "_v3" : "_v1";
  }
  return level;
}

/// The phases that the kernels call are those made for the most that the target machine has.
void call_phases_of_level(Unit& unit) {
  const char* const level = level_of(unit.target);
  for (llvm::Function& function : *unit.module) {
    if (function.isDeclaration() && begins_with(function, "moe_phase_")) {
      function.setName(function.getName() + level);
    }
  }
}

}  // namespace

Result<void> specialize(Unit& unit) {
  if (Result<void> read = materialize_reachable(unit); !read) return read;
  llvm::Module& module = *unit.module;
  std::vector<llvm::Function*> dispatches;
  for (llvm::Function& function : module) {
    for (const llvm::Use& use : function.uses()) {
      const auto* call = llvm::dyn_cast<llvm::CallBase>(use.getUser());
      if (call != nullptr && begins_with(function, "moe_kernel_")) {
        dispatches.push_back(const_cast<llvm::Function*>(call->getFunction()));
      }
    }
  }
  for (llvm::Function* dispatch : dispatches) {
    if (!Specializer(*dispatch, dispatches.size() > 1).run()) {
      return Error{Error::Kind::internal, "cannot inline the decision kernel into the policy's dispatch"};
    }
  }
  for (llvm::Function& function : module) {
    if (unit.options.leaves_math && is_math(function)) function.deleteBody();
    if (!function.isDeclaration()) function.setLinkage(llvm::GlobalValue::InternalLinkage);
  }
  erase_unused(module);
  call_phases_of_level(unit);
  return {};
}

}  // namespace moe::codegen
