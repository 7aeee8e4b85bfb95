// SPDX-License-Identifier: Apache-2.0
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Transforms/Utils/ModuleUtils.h>

#include <cstring>

#include "codegen/module.h"
#include "codegen/sites.h"

namespace moe::codegen {
namespace {

/// Builds a struct constant field by field, in declaration order.
class StructBuilder {
 public:
  explicit StructBuilder(llvm::LLVMContext& context) : context_(context) {}
  StructBuilder& u32(uint32_t value) { return add(llvm::ConstantInt::get(llvm::Type::getInt32Ty(context_), value)); }
  StructBuilder& u64(uint64_t value) { return add(llvm::ConstantInt::get(llvm::Type::getInt64Ty(context_), value)); }
  StructBuilder& f64(double value) { return add(llvm::ConstantFP::get(llvm::Type::getDoubleTy(context_), value)); }
  StructBuilder& add(llvm::Constant* field) {
    fields_.push_back(field);
    return *this;
  }
  llvm::Constant* build(const char* name) const {
    std::vector<llvm::Type*> types;
    for (llvm::Constant* field : fields_) types.push_back(field->getType());
    return llvm::ConstantStruct::get(llvm::StructType::create(context_, types, name), fields_);
  }

 private:
  llvm::LLVMContext& context_;
  std::vector<llvm::Constant*> fields_;
};

llvm::GlobalVariable* constant_global(llvm::Module& module, llvm::Constant* value, const char* name) {
  return new llvm::GlobalVariable(module, value->getType(), /*isConstant=*/true, llvm::GlobalValue::InternalLinkage,
                                  value, name);
}

/// The arrays that Params points to.
struct Tables {
  llvm::Constant* pins;
  llvm::Constant* preload;
  llvm::Constant* arms;
  llvm::Constant* rates;
  PredictorTables predictors;
};

Tables emit_tables(llvm::Module& module, const ir::BoundPolicy& policy) {
  const auto table = [&](const std::vector<uint32_t>& values, const char* name) {
    return constant_global(module, llvm::ConstantDataArray::get(module.getContext(), llvm::ArrayRef<uint32_t>(values)),
                           name);
  };
  std::vector<uint32_t> arms;
  for (const decision::Arm& arm : arms_of(policy)) arms.insert(arms.end(), {arm.action, arm.applies});
  static_assert(sizeof(decision::Arm) == 2 * sizeof(uint32_t));
  return {table(policy.pins, "pins"), table(policy.preload, "preload"), table(arms, "arms"),
          table(rates_of(policy), "rates"), emit_predictors(module, policy)};
}

/// decision::Params, field by field. The static_assert below fails when a field is added there and not here.
llvm::Constant* params_constant(llvm::LLVMContext& context, const decision::Params& p, const Tables& tables) {
  return StructBuilder(context)
      .u32(p.num_layers)
      .u32(p.num_experts)
      .u32(p.top_k)
      .u32(p.scope_layer)
      .u32(p.eviction)
      .u32(p.admit)
      .u32(p.capacity)
      .u32(p.protect_selected)
      .u64(p.decay_interval)
      .u64(p.freq_window)
      .u64(p.ttl)
      .f64(p.frequency_decay)
      .f64(p.score_ema_alpha)
      .f64(p.freq_threshold)
      .f64(p.memory_threshold)
      .f64(p.memory_headroom)
      .f64(p.memory_budget_gb)
      .f64(p.expert_size_gb)
      .f64(p.min_probability)
      .f64(p.bandwidth)
      .u32(p.strategy)
      .u32(p.budget)
      .u32(p.lookahead)
      .u32(p.history_window)
      .u32(p.miss)
      .u32(p.cancel_stale)
      .u32(p.overlap)
      .u32(p.priority_routing)
      .u32(p.monitor_window)
      .u32(p.log_interval)
      .u32(p.num_pins)
      .u32(p.num_preload)
      .u32(p.keeps)
      .u32(p.prefetch_admit)
      .u32(p.has_when)
      .u32(p.top)
      .u32(p.has_order)
      .u32(p.one_by_one)
      .u32(p.hybrid)
      .u32(p.max_loads)
      .u32(p.loads_in_order)
      .u32(p.num_arms)
      .u32(p.num_rates)
      .u32(p.limits_loads)
      .f64(p.deadline_ms)
      .u64(p.seed)
      .add(tables.pins)
      .add(tables.preload)
      .add(tables.arms)
      .add(tables.rates)
      .u32(p.next_strategies)
      .u32(p.store)
      .f64(p.affinity_threshold)
      .u32(p.num_weight_rates)
      .u32(p.profile)
      .u32(p.learn_window)
      .u32(p.learn_freeze)
      .f64(p.learn_rate)
      .f64(p.learn_discount)
      .add(tables.predictors.weight_rates)
      .add(tables.predictors.share_rows)
      .add(tables.predictors.share_followers)
      .add(tables.predictors.shares)
      .add(tables.predictors.weights)
      .build("moe.params");
}
static_assert(sizeof(decision::Params) == 8 * 4 + 3 * 8 + 9 * 8 + 24 * 4 + 2 * 8 + 4 * 8 + 6 * 4 + 3 * 8 + 5 * 8,
              "params_constant lists every field");
static_assert(offsetof(decision::Params, weights) == sizeof(decision::Params) - 8, "the tables come last");

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

/// `i32 dispatch(ptr state, ptr input, ptr output)`: the rule's kernel with the policy's constants.
llvm::Function* emit_dispatch(llvm::Module& module, const ir::BoundPolicy& policy, llvm::GlobalVariable* params) {
  llvm::LLVMContext& context = module.getContext();
  llvm::Type* i32 = llvm::Type::getInt32Ty(context);
  llvm::Type* ptr = llvm::PointerType::getUnqual(context);
  const std::string kernel_name = "moe_kernel_" + std::string(ir::to_word(policy.eviction.kind));
  llvm::FunctionCallee kernel = module.getOrInsertFunction(kernel_name, i32, ptr, ptr, ptr, ptr);
  auto* dispatch = llvm::Function::Create(llvm::FunctionType::get(i32, {ptr, ptr, ptr}, false),
                                          llvm::GlobalValue::InternalLinkage, "dispatch", module);
  dispatch->addFnAttr(llvm::Attribute::NoUnwind);
  const char* names[] = {"state", "input", "output"};
  std::vector<llvm::Value*> arguments{params};
  for (unsigned i = 0; i < 3; ++i) {
    dispatch->getArg(i)->setName(names[i]);
    arguments.push_back(dispatch->getArg(i));
  }
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "entry", dispatch));
  builder.CreateRet(builder.CreateCall(kernel, arguments, "status"));
  return dispatch;
}

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
  const decision::Params params_here = make_params(unit.policy);
  llvm::Constant* params_value = params_constant(context, params_here, emit_tables(module, unit.policy));
  const auto* layout = module.getDataLayout().getStructLayout(llvm::cast<llvm::StructType>(params_value->getType()));
  if (layout->getSizeInBytes() != sizeof(decision::Params)) {
    return Error{Error::Kind::internal, "the params of the generated code are laid out differently from the runtime's"};
  }
  llvm::GlobalVariable* params = constant_global(module, params_value, "params");
  llvm::Function* dispatch = emit_dispatch(module, unit.policy, params);
  emit_expressions(module, unit.policy);

  llvm::Constant* descriptor = StructBuilder(context)
                                   .u32(sizeof(decision::Descriptor))
                                   .u32(decision::kAbiVersion)
                                   .add(manifest_global)
                                   .add(params)
                                   .add(dispatch)
                                   .build("moe.descriptor");
  auto* exported = new llvm::GlobalVariable(module, descriptor->getType(), true, llvm::GlobalValue::ExternalLinkage,
                                            descriptor, descriptor_symbol(unit.policy));
  exported->setDSOLocal(true);
  emit_note(module, manifest);
  return {};
}

}  // namespace moe::codegen
