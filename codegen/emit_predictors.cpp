// SPDX-License-Identifier: Apache-2.0
// What predictors start from, as constants of the policy's module: shares and weights of the bound profile.
#include <llvm/IR/Constants.h>

#include <algorithm>

#include "codegen/module.h"
#include "codegen/sites.h"
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

/// Affinity's shares above zero, row by row.
void emit_shares(llvm::Module& module, const ir::Profile& profile, PredictorTables& tables) {
  std::vector<uint64_t> rows{0};
  std::vector<uint32_t> followers;
  std::vector<double> shares;
  for (const auto& layer : profile.affinity) {
    for (const auto& row : layer) {
      for (const auto& [follower, share] : row) {
        if (!(share > 0)) continue;
        followers.push_back(follower);
        shares.push_back(share);
      }
      rows.push_back(shares.size());
    }
  }
  tables.share_rows = table(module, rows, "share_rows");
  tables.share_followers = table(module, followers, "share_followers");
  tables.shares = table(module, shares, "shares");
}

/// The learner's start; zeros for a layer whose weights are of another window.
llvm::Constant* emit_weights(llvm::Module& module, const ir::Profile& profile, const decision::Params& params) {
  std::vector<double> weights(params.num_learner_weights() * params.num_layers);
  for (size_t l = 0; l < profile.learned.size() && l < params.num_layers; ++l) {
    if (profile.learned[l].size() != params.num_learner_weights()) continue;
    std::copy(profile.learned[l].begin(), profile.learned[l].end(),
              weights.begin() + static_cast<std::ptrdiff_t>(l * params.num_learner_weights()));
  }
  return table(module, weights, "weights");
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
  const decision::Params& params = program.params.front();
  const ir::BoundPolicy& policy = program.policy;
  if ((params.profile & decision::kProfileShares) != 0) emit_shares(module, *policy.options.profile, tables);
  if ((params.profile & decision::kProfileWeights) != 0) {
    tables.weights = emit_weights(module, *policy.options.profile, params);
  }
  return tables;
}

}  // namespace moe::codegen
