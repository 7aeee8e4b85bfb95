// SPDX-License-Identifier: Apache-2.0
// A policy's expressions as one function, moe_evaluate(): a switch over the sites, each a straight line of arithmetic
// whose leaves call the kernels' moe_value_*() functions. The kernel calls it with the site as a constant, so after
// inlining only that line is left. Operations are those of ir::apply(), one IEEE rounding each.
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include "codegen/module.h"
#include "codegen/sites.h"

namespace moe::codegen {
namespace {

using ir::ExprOp;
using ir::Variable;

class ExprEmitter {
 public:
  ExprEmitter(llvm::Module& module, const ir::BoundPolicy& policy)
      : module_(module),
        policy_(policy),
        builder_(module.getContext()),
        rates_(rates_of(policy)),
        weight_rates_(weight_rates_of(policy)) {}

  void emit() {
    llvm::LLVMContext& context = module_.getContext();
    auto* function = llvm::Function::Create(llvm::FunctionType::get(f64(), {ptr(), i32(), i32(), i32(), i32()}, false),
                                            llvm::GlobalValue::ExternalLinkage, "moe_evaluate", module_);
    function->addFnAttr(llvm::Attribute::NoUnwind);
    function->addFnAttr(llvm::Attribute::AlwaysInline);
    const char* names[] = {"frame", "site", "key", "place", "victim"};
    for (unsigned i = 0; i < 5; ++i) function->getArg(i)->setName(names[i]);
    frame_ = function->getArg(0);
    key_ = function->getArg(2);
    place_ = function->getArg(3);
    victim_ = function->getArg(4);

    builder_.SetInsertPoint(llvm::BasicBlock::Create(context, "entry", function));
    auto* none = llvm::BasicBlock::Create(context, "none", function);
    llvm::SwitchInst* sites = builder_.CreateSwitch(function->getArg(1), none);
    builder_.SetInsertPoint(none);
    builder_.CreateRet(number(0));
    for (const SiteExpr& site : sites_of(policy_)) {
      auto* block = llvm::BasicBlock::Create(context, "site", function);
      sites->addCase(builder_.getInt32(site.site), block);
      builder_.SetInsertPoint(block);
      builder_.CreateRet(emit(*site.expr));
    }
  }

 private:
  llvm::Type* f64() { return builder_.getDoubleTy(); }
  llvm::Type* i32() { return builder_.getInt32Ty(); }
  llvm::Type* ptr() { return builder_.getPtrTy(); }
  llvm::Value* number(double value) { return llvm::ConstantFP::get(f64(), value); }

  llvm::Value* emit(const ir::Expr& expr) {
    std::vector<llvm::Value*> values;
    for (const ir::ExprNode& node : expr.nodes) {
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
    const bool of_uses = node.op == ExprOp::use_rate;
    const auto place = of_uses
                           ? static_cast<size_t>(std::find(rates_.begin(), rates_.end(), node.window) - rates_.begin())
                           : place_of(weight_rates_, node);
    llvm::Value* rate = builder_.getInt32(static_cast<uint32_t>(place));
    const std::string name(ir::to_word(node.op));
    return node.of_victim ? call("moe_victim_" + name, {frame_, victim_, rate})
                          : call("moe_value_" + name, {frame_, key_, rate});
  }

  llvm::Value* variable(const ir::ExprNode& node) {
    switch (node.variable) {
      case Variable::num_experts:
        return number(policy_.shape.num_experts);
      case Variable::num_layers:
        return number(policy_.shape.num_layers);
      case Variable::top_k:
        return number(policy_.shape.top_k);
      case Variable::capacity:
        return number(policy_.capacity);
      case Variable::value:
        if (!policy_.learn) return number(0);
        break;
      case Variable::predicted:
      case Variable::foretold:
        if (policy_.strategy.is_none()) return number(0);
        break;
      case Variable::phase:
      case Variable::batch:
        return call("moe_value_" + std::string(ir::to_word(node.variable)), {frame_});
      case Variable::size: {
        const bool known = policy_.shape.expert_bytes != 0;
        const double bytes = known ? static_cast<double>(policy_.shape.expert_bytes) : policy_.expert_size_gb * 1e9;
        return node.of_victim ? builder_.CreateSelect(has_victim(), number(bytes), number(0)) : number(bytes);
      }
      default:
        break;
    }
    const std::string name(ir::to_word(node.variable));
    return node.of_victim ? call("moe_victim_" + name, {frame_, victim_})
                          : call("moe_value_" + name, {frame_, key_, place_});
  }

  llvm::Value* has_victim() { return builder_.CreateICmpNE(victim_, builder_.getInt32(decision::kNone)); }
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
  const ir::BoundPolicy& policy_;
  llvm::IRBuilder<> builder_;
  const std::vector<uint32_t> rates_;
  const std::vector<decision::WeightRate> weight_rates_;
  llvm::Value* frame_ = nullptr;
  llvm::Value* key_ = nullptr;
  llvm::Value* place_ = nullptr;
  llvm::Value* victim_ = nullptr;
};

}  // namespace

void emit_expressions(llvm::Module& module, const ir::BoundPolicy& policy) { ExprEmitter(module, policy).emit(); }

}  // namespace moe::codegen
