// SPDX-License-Identifier: Apache-2.0
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Transforms/Utils/ModuleUtils.h>

#include <algorithm>
#include <cstddef>

#include "codegen/module.h"

namespace moe::codegen {
namespace {

/// An ELF note: what the runtime reads of a shared library before it maps any code of it.
void emit_note(llvm::Module& module, const std::string& manifest) {
  auto put32 = [](std::string& out, size_t value) {
    const uint32_t word = static_cast<uint32_t>(value);
    out.append(reinterpret_cast<const char*>(&word), sizeof word);
  };
  auto pad4 = [](std::string& out) { out.resize((out.size() + 3) & ~size_t{3}, '\0'); };
  std::string note;
  put32(note, sizeof decision::kNoteOwner);
  put32(note, manifest.size());
  put32(note, decision::kNoteType);
  note.append(decision::kNoteOwner, sizeof decision::kNoteOwner);
  pad4(note);
  note += manifest;
  pad4(note);
  llvm::GlobalVariable* global =
      constant_global(module, llvm::ConstantDataArray::getString(module.getContext(), note, false), "note");
  global->setSection(decision::kNoteSection);
  global->setAlignment(llvm::Align(4));
  llvm::appendToUsed(module, {global});
}

/// Writes the functions that stand between a dispatch and the kernels, which are only declared here.
class DispatchEmitter {
 public:
  DispatchEmitter(Unit& unit, const PolicyGlobals& globals)
      : module_(*unit.module), program_(unit.program), globals_(globals), builder_(module_.getContext()) {}

  /// `i32 dispatch(ptr state, ptr input, ptr output)`: the kernel of the rules in force, with their constants.
  llvm::Function* dispatch() {
    llvm::Function* function = define(kDispatch, {ptr(), ptr(), ptr()}, {"state", "input", "output"});
    const std::vector<llvm::Value*> arguments = arguments_of(function);
    if (program_.params.size() == 1) {
      builder_.CreateRet(call_kernel(0, arguments));
      return function;
    }
    // Called by name: inlined, all variants would share one frame and one allocation of registers.
    std::vector<llvm::Function*> variants;
    for (size_t v = 0; v < program_.params.size(); ++v) variants.push_back(variant(v));
    builder_.SetInsertPoint(&function->getEntryBlock());
    llvm::FunctionCallee variant_of = module_.getOrInsertFunction("moe_variant_of", i32(), ptr(), ptr(), ptr());
    llvm::Value* which = builder_.CreateCall(variant_of, {globals_.changes, arguments[0], arguments[1]}, "variant");
    choose(which, [&](size_t v) { return builder_.CreateCall(variants[v], arguments); }, variants.size());
    return function;
  }

  /// foreign.h: a choice among the rules that instances can have.
  void foreign() {
    foreign("evict", {ptr(), ptr(), i32()});
    foreign("relieve", {ptr(), ptr(), i32(), i32()});
    foreign("prefetch", {ptr(), ptr(), i32(), ptr()});
    foreign("resize", {ptr(), ptr(), i32()});
  }

 private:
  llvm::Type* i32() { return builder_.getInt32Ty(); }
  llvm::Type* ptr() { return builder_.getPtrTy(); }

  llvm::Function* define(const std::string& name, llvm::ArrayRef<llvm::Type*> types,
                         llvm::ArrayRef<const char*> names = {}) {
    llvm::Function* function = module_.getFunction(name);  // what the kernels call is declared
    if (function == nullptr) {
      function = llvm::Function::Create(llvm::FunctionType::get(i32(), types, false),
                                        llvm::GlobalValue::InternalLinkage, name, module_);
    }
    function->addFnAttr(llvm::Attribute::NoUnwind);
    // LLVM prefers half of AVX-512, for processors that slow down for all of it; a search for a victim is its loop.
    function->addFnAttr("prefer-vector-width", "512");
    for (unsigned i = 0; i < names.size(); ++i) function->getArg(i)->setName(names[i]);
    builder_.SetInsertPoint(llvm::BasicBlock::Create(module_.getContext(), "entry", function));
    return function;
  }

  static std::vector<llvm::Value*> arguments_of(llvm::Function* function) {
    std::vector<llvm::Value*> arguments;
    for (llvm::Argument& argument : function->args()) arguments.push_back(&argument);
    return arguments;
  }

  std::string rule_of(size_t variant) const {
    return std::string(ir::to_word(program_.variants.rules[variant].eviction.kind));
  }

  llvm::Value* call_kernel(size_t variant, std::vector<llvm::Value*> arguments) {
    llvm::FunctionCallee kernel =
        module_.getOrInsertFunction("moe_kernel_" + rule_of(variant), i32(), ptr(), ptr(), ptr(), ptr());
    llvm::Value* place = builder_.CreateConstInBoundsGEP2_32(globals_.variants->getValueType(), globals_.variants, 0,
                                                             static_cast<unsigned>(variant));
    arguments.insert(arguments.begin(), place);
    return builder_.CreateCall(kernel, arguments, "status");
  }

  llvm::Function* variant(size_t v) {
    llvm::Function* function =
        define(of_variant(kDispatch, static_cast<uint32_t>(v)), {ptr(), ptr(), ptr()}, {"state", "input", "output"});
    function->addFnAttr(llvm::Attribute::NoInline);
    builder_.CreateRet(call_kernel(v, arguments_of(function)));
    return function;
  }

  /// Returns what `value_of` makes of `which`, a number below `count`.
  template <class ValueOf>
  void choose(llvm::Value* which, ValueOf value_of, size_t count) {
    llvm::Function* function = builder_.GetInsertBlock()->getParent();
    llvm::LLVMContext& context = module_.getContext();
    auto* never = llvm::BasicBlock::Create(context, "never", function);
    llvm::SwitchInst* choice = builder_.CreateSwitch(which, never);
    builder_.SetInsertPoint(never);
    builder_.CreateUnreachable();
    for (size_t i = 0; i < count; ++i) {
      auto* block = llvm::BasicBlock::Create(context, "", function);
      choice->addCase(builder_.getInt32(static_cast<uint32_t>(i)), block);
      builder_.SetInsertPoint(block);
      builder_.CreateRet(value_of(i));
    }
  }

  void foreign(const std::string& what, llvm::ArrayRef<llvm::Type*> types) {
    llvm::Function* function = define("moe_" + what + "_other", types);
    if (program_.params.front().room.rules_differ == 0) {
      builder_.CreateRet(builder_.getInt32(0));
      return;
    }
    static_assert(offsetof(decision::Params, variant) % 4 == 0);
    llvm::Value* field = builder_.CreateConstInBoundsGEP1_32(builder_.getInt8Ty(), function->getArg(1),
                                                             offsetof(decision::Params, variant));
    llvm::Value* which = builder_.CreateLoad(i32(), field, "variant");
    const auto call = [&](size_t v) {
      llvm::FunctionCallee rule =
          module_.getOrInsertFunction("moe_" + what + "_" + rule_of(v), llvm::FunctionType::get(i32(), types, false));
      return builder_.CreateCall(rule, arguments_of(function));
    };
    choose(which, call, program_.params.size());
  }

  llvm::Module& module_;
  const Program& program_;
  const PolicyGlobals& globals_;
  llvm::IRBuilder<> builder_;
};

}  // namespace

std::string descriptor_symbol(const ir::BoundPolicy& policy) { return "moe_policy_" + policy.name; }

Result<void> emit_policy(Unit& unit) {
  llvm::Module& module = *unit.module;
  llvm::LLVMContext& context = module.getContext();
  module.setTargetTriple(unit.target.getTargetTriple().str());
  module.setDataLayout(unit.target.createDataLayout());

  const std::string manifest =
      make_manifest(unit.policy, unit.target.getTargetCPU().str(), unit.target.getTargetFeatureString().str());
  llvm::GlobalVariable* manifest_global =
      constant_global(module, llvm::ConstantDataArray::getString(context, manifest), "manifest");
  const PolicyGlobals globals = emit_constants(module, unit.program);
  if (module.getDataLayout().getTypeAllocSize(globals.params_type) != sizeof(decision::Params)) {
    return Error{Error::Kind::internal, "the params of the generated code are laid out differently from the runtime's"};
  }
  DispatchEmitter emitter(unit, globals);
  llvm::Function* dispatch = emitter.dispatch();
  emitter.foreign();
  emit_expressions(module, unit.program);

  llvm::Type* i32 = llvm::Type::getInt32Ty(context);
  llvm::Constant* place[] = {llvm::ConstantInt::get(i32, 0), llvm::ConstantInt::get(i32, unit.program.first_variant())};
  llvm::Constant* params = llvm::ConstantExpr::getInBoundsGetElementPtr(globals.variants->getValueType(),
                                                                        globals.variants, llvm::ArrayRef(place));
  llvm::Constant* fields[] = {llvm::ConstantInt::get(i32, sizeof(decision::Descriptor)),
                              llvm::ConstantInt::get(i32, decision::kAbiVersion), manifest_global, params, dispatch};
  llvm::Constant* descriptor = llvm::ConstantStruct::getAnon(context, fields);
  auto* exported = new llvm::GlobalVariable(module, descriptor->getType(), true, llvm::GlobalValue::ExternalLinkage,
                                            descriptor, descriptor_symbol(unit.policy));
  exported->setDSOLocal(true);
  emit_note(module, manifest);
  return {};
}

}  // namespace moe::codegen
