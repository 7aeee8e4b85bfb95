// SPDX-License-Identifier: Apache-2.0
// The tables of `tiers`: decision::TierSet and what it points to.
#include "codegen/struct_builder.h"

namespace moe::codegen {
namespace {

llvm::Constant* emit_set(llvm::Module& module, const TierSet& from) {
  llvm::LLVMContext& context = module.getContext();
  llvm::Constant* tiers = constant_table(module, from.tiers, "tiers", [&](const decision::Tier& t) {
    return StructBuilder(context)
        .u32(t.capacity)
        .u32(t.holds_all)
        .u32(t.location)
        .u32(t.is_lower_copy)
        .u32(t.dtype)
        .u32(t.reserved)
        .build();
  });
  llvm::Constant* rules = constant_table(module, from.rules, "tier_rules", [&](const decision::TierRule& r) {
    return StructBuilder(context).u32(r.from).u32(r.to).u32(r.promote).u32(r.site).build();
  });
  llvm::Constant* rungs = constant_table(module, from.rungs, "rungs", [&](const decision::Rung& r) {
    return StructBuilder(context).f64(r.at_least).u32(r.dtype).u32(r.reserved).build();
  });
  static_assert(sizeof(decision::Tier) == 24 && sizeof(decision::TierRule) == 16 && sizeof(decision::Rung) == 16,
                "every field is listed");
  const decision::TierSet& s = from.constants;
  static_assert(sizeof(decision::TierSet) == 10 * 4 + 3 * 8, "every field is listed");
  return StructBuilder(context)
      .u32(s.num_tiers)
      .u32(s.num_rules)
      .u32(s.num_rungs)
      .u32(s.first_tier)
      .u32(s.eviction)
      .u32(s.eviction_site)
      .u32(s.ladder_site)
      .u32(s.inclusive)
      .u32(s.direct)
      .u32(s.elsewhere)
      .add(tiers)
      .add(rules)
      .add(rungs)
      .build();
}

}  // namespace

TierTables emit_tiers(llvm::Module& module, const Program& program) {
  llvm::LLVMContext& context = module.getContext();
  TierTables tables{};
  tables.sets =
      constant_table(module, program.tier_sets, "tier_sets", [&](const TierSet& set) { return emit_set(module, set); });
  tables.set_of_layer = constant_table(module, program.tier_set_of_layer, "tier_set_of_layer", [&](uint32_t set) {
    return llvm::ConstantInt::get(llvm::Type::getInt32Ty(context), set);
  });
  return tables;
}

}  // namespace moe::codegen
