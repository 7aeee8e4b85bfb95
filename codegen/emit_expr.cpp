// SPDX-License-Identifier: Apache-2.0
// A policy's expressions as one function, moe_evaluate(): a switch over the sites, each a straight line of arithmetic
// whose leaves call the kernels' moe_value_*() functions. The kernel calls it with the site as a constant, so after
// inlining only that line is left. Operations are those of ir::apply(), one IEEE rounding each.
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <optional>

#include "codegen/module.h"
#include "codegen/sites.h"

namespace moe::codegen {
namespace {

using ir::ExprOp;
using ir::Variable;

class ExprEmitter {
 public:
  ExprEmitter(llvm::Module& module, const Program& program)
      : module_(module), program_(program), builder_(module.getContext()) {}

  /// `double name(frame, site, key, place, victim)`: the sites of one variant, or of all.
  void evaluate(const std::string& name, std::optional<uint32_t> variant) {
    std::vector<SiteExpr> sites;
    for (const SiteExpr& site : all_sites(program_)) {
      if (!variant || site.variant == *variant) sites.push_back(site);
    }
    llvm::Function* function =
        define(name, {ptr(), i32(), i32(), i32(), i32()}, {"frame", "site", "key", "place", "victim"});
    key_ = function->getArg(2);
    place_ = function->getArg(3);
    victim_ = function->getArg(4);
    choose(function, sites);
  }

  /// `double name(frame, which)`: conditions of rules, then rewards.
  void condition(const std::string& name) {
    choose(define(name, {ptr(), i32()}, {"frame", "which"}), program_.conditions);
  }

 private:
  llvm::Function* define(const std::string& name, llvm::ArrayRef<llvm::Type*> types,
                         llvm::ArrayRef<const char*> names) {
    auto* function = llvm::Function::Create(llvm::FunctionType::get(f64(), types, false),
                                            llvm::GlobalValue::InternalLinkage, name, module_);
    function->addFnAttr(llvm::Attribute::NoUnwind);
    for (unsigned i = 0; i < names.size(); ++i) function->getArg(i)->setName(names[i]);
    frame_ = function->getArg(0);
    return function;
  }

  /// The function's second argument chooses among `sites`; 0 for what is none of them.
  void choose(llvm::Function* function, const std::vector<SiteExpr>& sites) {
    llvm::LLVMContext& context = module_.getContext();
    builder_.SetInsertPoint(llvm::BasicBlock::Create(context, "entry", function));
    auto* none = llvm::BasicBlock::Create(context, "none", function);
    llvm::SwitchInst* choice = builder_.CreateSwitch(function->getArg(1), none);
    builder_.SetInsertPoint(none);
    builder_.CreateRet(number(0));
    for (const SiteExpr& site : sites) {
      of_expert_ = site.of_expert;
      auto* block = llvm::BasicBlock::Create(context, "site", function);
      choice->addCase(builder_.getInt32(site.site), block);
      builder_.SetInsertPoint(block);
      builder_.CreateRet(emit(site));
    }
  }

  llvm::Type* f64() { return builder_.getDoubleTy(); }
  llvm::Type* i32() { return builder_.getInt32Ty(); }
  llvm::Type* ptr() { return builder_.getPtrTy(); }
  llvm::Value* number(double value) { return llvm::ConstantFP::get(f64(), value); }

  llvm::Value* emit(const SiteExpr& site) {
    const std::vector<bool> needed = needed_nodes(program_, site);
    std::vector<llvm::Value*> values;
    for (size_t at = 0; at < needed.size(); ++at) {
      const ir::ExprNode& node = site.expr->nodes[at];
      if (!needed[at]) {
        values.push_back(nullptr);
        continue;
      }
      if (const std::optional<uint32_t> kept = kept_part(program_, site, at)) {
        values.push_back(call("moe_value_steady", {frame_, key_, builder_.getInt32(*kept)}));
        continue;
      }
      const auto operand = [&](size_t i) { return values[node.operand[i]]; };
      switch (node.op) {
        case ExprOp::constant:
          values.push_back(number(node.number));
          break;
        case ExprOp::variable:
          values.push_back(variable(node));
          break;
        case ExprOp::use_rate:
        case ExprOp::weight_rate:
          values.push_back(rate(node));
          break;
        case ExprOp::avg_over:
        case ExprOp::max_over:
        case ExprOp::trend:
          values.push_back(look_back(node));
          break;
        default: {
          const size_t count = ir::num_operands(node.op);
          values.push_back(
              apply(node.op, operand(0), count > 1 ? operand(1) : nullptr, count > 2 ? operand(2) : nullptr));
        }
      }
    }
    return values.back();
  }

  llvm::Value* call(const std::string& name, llvm::ArrayRef<llvm::Value*> arguments) {
    std::vector<llvm::Type*> types;
    for (llvm::Value* argument : arguments) types.push_back(argument->getType());
    return builder_.CreateCall(module_.getOrInsertFunction(name, llvm::FunctionType::get(f64(), types, false)),
                               arguments);
  }

  llvm::Value* rate(const ir::ExprNode& node) {
    if (!of_expert_) return number(0);
    const size_t place =
        node.op == ExprOp::use_rate ? place_of(program_.rates, node) : place_of(program_.weight_rates, node);
    llvm::Value* rate = builder_.getInt32(static_cast<uint32_t>(place));
    const std::string name(ir::to_word(node.op));
    return node.of_victim ? call("moe_victim_" + name, {frame_, victim_, rate})
                          : call("moe_value_" + name, {frame_, key_, rate});
  }

  llvm::Value* look_back(const ir::ExprNode& node) {
    llvm::Value* which = builder_.getInt32(static_cast<uint32_t>(place_of(program_.remembered, node)));
    return call("moe_look_back_" + std::string(ir::to_word(node.op)), {frame_, which, builder_.getInt32(node.window)});
  }

  llvm::Value* variable(const ir::ExprNode& node) {
    if (const std::optional<double> of_model = value_in_model(program_, node.variable)) return number(*of_model);
    if (is_counted(node.variable)) {
      return call("moe_metric", {frame_, builder_.getInt32(static_cast<uint32_t>(counted_as(node.variable)))});
    }
    if (!of_expert_ || !is_kept(program_, node.variable)) return number(0);
    const std::string name(ir::to_word(node.variable));
    return node.of_victim ? call("moe_victim_" + name, {frame_, victim_})
                          : call("moe_value_" + name, {frame_, key_, place_});
  }

  llvm::Value* truth(llvm::Value* value) { return builder_.CreateFCmpUNE(value, number(0)); }
  llvm::Value* as_number(llvm::Value* truth) { return builder_.CreateSelect(truth, number(1), number(0)); }

  llvm::Value* apply(ExprOp op, llvm::Value* a, llvm::Value* b, llvm::Value* c) {
    switch (op) {
      case ExprOp::negate:
        return builder_.CreateFNeg(a);
      case ExprOp::not_:
        return builder_.CreateSelect(truth(a), number(0), number(1));
      case ExprOp::abs:
        return builder_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, a);
      case ExprOp::exp:
      case ExprOp::log:
      case ExprOp::log2:
      case ExprOp::sqrt:
      case ExprOp::floor:
      case ExprOp::sigmoid:
        return call("moe_math_" + std::string(ir::to_word(op)), {a});
      case ExprOp::add:
        return builder_.CreateFAdd(a, b);
      case ExprOp::subtract:
        return builder_.CreateFSub(a, b);
      case ExprOp::multiply:
        return builder_.CreateFMul(a, b);
      case ExprOp::divide:
        return builder_.CreateFDiv(a, b);
      case ExprOp::modulo:
        return call("moe_math_fmod", {a, b});
      case ExprOp::eq:
        return as_number(builder_.CreateFCmpOEQ(a, b));
      case ExprOp::ne:
        return as_number(builder_.CreateFCmpUNE(a, b));
      case ExprOp::lt:
        return as_number(builder_.CreateFCmpOLT(a, b));
      case ExprOp::le:
        return as_number(builder_.CreateFCmpOLE(a, b));
      case ExprOp::gt:
        return as_number(builder_.CreateFCmpOGT(a, b));
      case ExprOp::ge:
        return as_number(builder_.CreateFCmpOGE(a, b));
      case ExprOp::and_:
        return as_number(builder_.CreateAnd(truth(a), truth(b)));
      case ExprOp::or_:
        return as_number(builder_.CreateOr(truth(a), truth(b)));
      case ExprOp::min:
      case ExprOp::max:
      case ExprOp::pow:
        return call("moe_math_" + std::string(ir::to_word(op)), {a, b});
      case ExprOp::conditional:
        return builder_.CreateSelect(truth(a), b, c);
      case ExprOp::clamp:
        return call("moe_math_min", {call("moe_math_max", {a, b}), c});
      default:
        return number(__builtin_nan(""));
    }
  }

  llvm::Module& module_;
  const Program& program_;
  llvm::IRBuilder<> builder_;
  bool of_expert_ = true;  // the site in hand has an expert
  llvm::Value* frame_ = nullptr;
  llvm::Value* key_ = nullptr;
  llvm::Value* place_ = nullptr;
  llvm::Value* victim_ = nullptr;
};

}  // namespace

void emit_expressions(llvm::Module& module, const Program& program) {
  ExprEmitter emitter(module, program);
  emitter.evaluate(kEvaluate, std::nullopt);
  for (uint32_t v = 0; program.params.size() > 1 && v < program.params.size(); ++v) {
    emitter.evaluate(of_variant(kEvaluate, v), v);
  }
  emitter.condition(kCondition);
}

}  // namespace moe::codegen
