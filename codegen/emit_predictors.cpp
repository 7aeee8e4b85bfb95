// SPDX-License-Identifier: Apache-2.0
// What predictors start from, as constants of the policy's module: shares and weights of the bound profile.
#include <llvm/IR/Constants.h>

#include "codegen/module.h"
#include "codegen/profile_tables.h"
#include "runtime/decision/abi.h"

namespace moe::codegen {
namespace {

/// Raw bytes: LLVM prints an array of a million doubles one by one, and bytes as one block.
template <class T>
llvm::Constant* table(llvm::Module& module, const std::vector<T>& values, const char* name) {
  const llvm::StringRef bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  llvm::Constant* data = llvm::ConstantDataArray::getString(module.getContext(), bytes, /*AddNull=*/false);
  auto* global = new llvm::GlobalVariable(module, data->getType(), /*isConstant=*/true,
                                          llvm::GlobalValue::InternalLinkage, data, name);
  global->setAlignment(llvm::Align(64));
  return global;
}

/// As words, so that a kernel's loads of them fold.
llvm::Constant* emit_weight_rates(llvm::Module& module, const Program& program) {
  std::vector<uint32_t> words;
  for (const decision::WeightRate& rate : program.weight_rates) {
    words.insert(words.end(), {rate.window, rate.largest});
  }
  static_assert(sizeof(decision::WeightRate) == 2 * sizeof(uint32_t));
  llvm::Constant* data = llvm::ConstantDataArray::get(module.getContext(), llvm::ArrayRef<uint32_t>(words));
  return new llvm::GlobalVariable(module, data->getType(), /*isConstant=*/true, llvm::GlobalValue::InternalLinkage,
                                  data, "weight_rates");
}

}  // namespace

PredictorTables emit_predictors(llvm::Module& module, const Program& program) {
  llvm::Constant* null = llvm::ConstantPointerNull::get(llvm::PointerType::getUnqual(module.getContext()));
  PredictorTables tables{null, null, null, null, null};
  tables.weight_rates = emit_weight_rates(module, program);
  const ProfileTables from = profile_tables(program);
  if (!from.share_rows.empty()) {
    tables.share_rows = table(module, from.share_rows, "share_rows");
    tables.share_followers = table(module, from.share_followers, "share_followers");
    tables.shares = table(module, from.shares, "shares");
  }
  if (!from.weights.empty()) tables.weights = table(module, from.weights, "weights");
  return tables;
}

}  // namespace moe::codegen
