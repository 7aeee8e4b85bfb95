// SPDX-License-Identifier: Apache-2.0
// The constants of a policy as globals of its module: decision::Params by variant, decision::Changes, their tables.
#include <cstring>

#include "codegen/constants.h"
#include "codegen/module.h"
#include "codegen/struct_builder.h"
#include "runtime/decision/layout.h"

namespace moe::codegen {
namespace {

class ConstantEmitter {
 public:
  ConstantEmitter(llvm::Module& module, const Program& program)
      : module_(module), context_(module.getContext()), program_(program) {}

  PolicyGlobals emit() {
    pins_ = words(program_.policy.pins, "pins");
    preload_ = words(program_.policy.preload, "preload");
    rates_ = words(program_.rates, "rates");
    predictors_ = emit_predictors(module_, program_);
    tiers_ = emit_tiers(module_, program_);
    remembered_ = table(program_.remembered, "remembered", [&](const decision::Remembered& r) {
      return StructBuilder(context_).u32(r.metric).u32(r.window).u32(r.first).u32(r.reserved).build();
    });
    PolicyGlobals globals;
    llvm::Constant* no_changes = null();
    // Changes and the variants point to one another.
    if (program_.has_changes) globals.changes = constant_global(module_, changes(null()), "changes");
    std::vector<llvm::Constant*> variants;
    for (size_t v = 0; v < program_.params.size(); ++v) {
      variants.push_back(params(v, globals.changes != nullptr ? globals.changes : no_changes));
    }
    globals.variants = array(variants, "variants");
    globals.params_type = variants.front()->getType();
    if (globals.changes != nullptr) globals.changes->setInitializer(changes(globals.variants));
    return globals;
  }

 private:
  llvm::Constant* null() { return llvm::ConstantPointerNull::get(llvm::PointerType::getUnqual(context_)); }

  llvm::GlobalVariable* array(const std::vector<llvm::Constant*>& elements, const char* name) {
    return constant_array(module_, elements, name);
  }
  template <class T, class Emit>
  llvm::Constant* table(const std::vector<T>& values, const char* name, Emit emit) {
    return constant_table(module_, values, name, emit);
  }

  template <class T>
  llvm::Constant* words(const std::vector<T>& values, const char* name) {
    return constant_global(module_, llvm::ConstantDataArray::get(context_, llvm::ArrayRef<T>(values)), name);
  }

  llvm::Constant* text(const char* characters) {
    if (characters == nullptr) return null();
    return constant_global(module_, llvm::ConstantDataArray::getString(context_, characters), "name");
  }

  llvm::Constant* arms(size_t variant) {
    return table(program_.arms[variant], "arms", [&](const decision::Arm& arm) {
      return StructBuilder(context_).u32(arm.action).u32(arm.applies).build();
    });
  }

  llvm::Constant* changes(llvm::Constant* variants) {
    const decision::Changes& c = program_.changes;
    if (rules_ == nullptr) emit_rules();
    return StructBuilder(context_)
        .u32(c.num_variants)
        .u32(c.num_bands)
        .u32(c.num_mask_bits)
        .u32(c.num_alternatives)
        .u32(c.num_rules)
        .u32(c.num_choices)
        .u32(c.num_actions)
        .u32(c.num_arms)
        .u64(c.seed)
        .add(variants)
        .add(selector_)
        .add(band_of_layer_)
        .add(alternative_of_)
        .add(rules_)
        .add(actions_)
        .add(choices_)
        .add(choice_arms_)
        .add(per_layer_)
        .build();
  }
  static_assert(sizeof(decision::Changes) == 8 * 4 + 8 + 9 * 8, "changes() lists every field");

  llvm::Constant* per_layer() {
    if (!program_.per_layer) return null();
    const decision::PerLayer& shared = *program_.per_layer;
    llvm::Constant* value = StructBuilder(context_)
                                .u64(shared.interval)
                                .u64(shared.total)
                                .u32(shared.has_total)
                                .u32(shared.allocation)
                                .u32(shared.min_capacity)
                                .u32(shared.max_capacity)
                                .u32(shared.counts_depth)
                                .u32(shared.reserved)
                                .add(words(program_.slots_at_start, "slots_at_start"))
                                .build();
    static_assert(sizeof(decision::PerLayer) == 2 * 8 + 6 * 4 + 8, "per_layer() lists every field");
    return constant_global(module_, value, "per_layer");
  }

  void emit_rules() {
    selector_ = words(program_.variants.selector, "selector");
    band_of_layer_ = words(program_.variants.band_of_layer, "band_of_layer");
    alternative_of_ = words(program_.variants.alternative_of, "alternative_of");
    rules_ = table(program_.rules, "rules", [&](const decision::AdaptRule& rule) {
      return StructBuilder(context_)
          .u64(rule.stretch)
          .u64(rule.cooldown)
          .u32(rule.unit)
          .u32(rule.revert)
          .u32(rule.mask)
          .u32(rule.first_action)
          .u32(rule.num_actions)
          .u32(rule.reserved)
          .build();
    });
    actions_ = table(program_.actions, "actions", [&](const decision::RuleAction& action) {
      return StructBuilder(context_).u32(action.kind).u32(action.value).add(text(action.name)).build();
    });
    choices_ = table(program_.choices, "choices", [&](const decision::ChooseRule& choice) {
      return StructBuilder(context_)
          .u64(choice.every)
          .f64(choice.explore)
          .u32(choice.first_arm)
          .u32(choice.num_arms)
          .build();
    });
    choice_arms_ = words(program_.choice_arms, "choice_arms");
    per_layer_ = per_layer();
  }

  llvm::Constant* room(const decision::Room& room) {
    return StructBuilder(context_)
        .u32(room.capacity)
        .u32(room.total_capacity)
        .u32(room.rules)
        .u32(room.strategies)
        .u32(room.history_window)
        .u32(room.budget)
        .u64(room.freq_window)
        .u32(room.ttl)
        .u32(room.capacity_varies)
        .u32(room.rules_differ)
        .u32(room.history_varies)
        .u32(room.balance)
        .u32(room.lookahead)
        .u32(room.arrival)
        .u32(room.side_buffer)
        .build();
  }
  static_assert(sizeof(decision::Room) == 6 * 4 + 8 + 8 * 4, "room() lists every field");

  llvm::Constant* params(size_t variant, llvm::Constant* changes) {
    const decision::Params& p = program_.params[variant];
    return StructBuilder(context_)
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
        .add(pins_)
        .add(preload_)
        .add(arms(variant))
        .add(rates_)
        .u32(p.next_strategies)
        .u32(p.store)
        .f64(p.affinity_threshold)
        .u32(p.num_weight_rates)
        .u32(p.profile)
        .u32(p.learn_window)
        .u32(p.learn_freeze)
        .f64(p.learn_rate)
        .f64(p.learn_discount)
        .add(predictors_.weight_rates)
        .add(predictors_.share_rows)
        .add(predictors_.share_followers)
        .add(predictors_.shares)
        .add(predictors_.weights)
        .u32(p.first_site)
        .u32(p.num_remembered)
        .u32(p.num_remembered_values)
        .u32(p.has_prefetch_evict)
        .u32(p.entropy_window)
        .u32(p.variant)
        .u32(p.prefetch_evict)
        .u32(p.has_drop)
        .u32(p.balance)
        .u32(p.balance_times)
        .f64(p.expert_bytes)
        .f64(p.memory_budget_bytes)
        .add(room(p.room))
        .u32(p.arrival)
        .u32(p.side_buffer)
        .add(llvm::ConstantDataArray::get(context_, llvm::ArrayRef<uint32_t>(p.segments)))
        .u32(p.eviction_number)
        .u32(p.num_tier_sets)
        .u32(p.num_tiers)
        .u32(p.num_tier_rules)
        .u32(p.tier_evictions)
        .u32(p.num_steady)
        .add(tiers_.sets)
        .add(tiers_.set_of_layer)
        .add(remembered_)
        .add(changes)
        .build();
  }
  static_assert(sizeof(decision::Params) == 8 * 4 + 3 * 8 + 9 * 8 + 24 * 4 + 2 * 8 + 4 * 8 + (6 * 4 + 3 * 8 + 5 * 8) +
                                                10 * 4 + 2 * 8 + sizeof(decision::Room) + 10 * 4 + 4 * 8,
                "params() lists every field");

  llvm::Module& module_;
  llvm::LLVMContext& context_;
  const Program& program_;
  PredictorTables predictors_{};
  TierTables tiers_{};
  llvm::Constant *pins_ = nullptr, *preload_ = nullptr, *rates_ = nullptr, *remembered_ = nullptr;
  llvm::Constant *selector_ = nullptr, *band_of_layer_ = nullptr, *alternative_of_ = nullptr, *rules_ = nullptr,
                 *actions_ = nullptr, *choices_ = nullptr, *choice_arms_ = nullptr, *per_layer_ = nullptr;
};

}  // namespace

llvm::GlobalVariable* constant_global(llvm::Module& module, llvm::Constant* value, const char* name) {
  return new llvm::GlobalVariable(module, value->getType(), /*isConstant=*/true, llvm::GlobalValue::InternalLinkage,
                                  value, name);
}

llvm::GlobalVariable* emit_layout(llvm::Module& module, const Program& program) {
  const Constants constants(program, nullptr);
  const decision::Layout layout = decision::make_layout(constants.variant(0));
  std::vector<uint64_t> words(sizeof layout / sizeof(uint64_t));
  static_assert(sizeof layout % sizeof(uint64_t) == 0);
  std::memcpy(words.data(), &layout, sizeof layout);
  llvm::Constant* const value = llvm::ConstantDataArray::get(module.getContext(), llvm::ArrayRef<uint64_t>(words));
  return constant_global(module, value, "layout");
}

PolicyGlobals emit_constants(llvm::Module& module, const Program& program) {
  return ConstantEmitter(module, program).emit();
}

}  // namespace moe::codegen
