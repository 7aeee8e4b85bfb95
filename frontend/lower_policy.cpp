// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "frontend/in_force.h"
#include "frontend/limits.h"
#include "frontend/lower.h"
#include "frontend/lower_keys.h"
#include "frontend/lower_shared.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

class PolicyLowering {
 public:
  PolicyLowering(const FileContext& file, const ast::Policy& policy, const Scope& scope)
      : file_(file),
        policy_(policy),
        context_{file.linked.file().exprs, file.diagnostics, &scope, file.nodes_left},
        diagnostics_(file.diagnostics) {
    values_.policy = &policy;
  }

  LoweredPolicy lower() {
    check_blocks();
    check_required();
    ir::Policy& out = lowered_.policy;
    out.name = {policy_.name.text, policy_.name.span};
    out.span = policy_.span;
    out.cache = lower_cache(values_.cache);
    out.prefetch = lower_prefetch(values_.prefetch);
    out.schedule = lower_schedule(values_.schedule);
    out.params = context_.scope->params;
    if (values_.schedule_block != nullptr) add_on_miss(out);
    out.bands = lower_bands(context_, policy_, out.rules());
    out.phases = lower_phases(context_, policy_, out.rules());
    out.adapt = std::move(short_forms_);
    if (values_.monitor_block != nullptr) out.monitor = lower_monitor(values_.monitor);
    lower_shared_blocks(out);
    check_rules(out);
    return std::move(lowered_);
  }

 private:
  void check_blocks() {
    std::vector<const ast::Block*> seen;
    for (const ast::Block& block : policy_.blocks) {
      if (too_many(diagnostics_)) return;
      const BlockSpec* spec = find_block(block.name.text);
      if (spec == nullptr) {
        report_unknown_block(context_, block.name, block_names());
        continue;
      }
      if (spec->name == "tier") {
        diagnostics_.error("MOE2020", block.name.span, "`tier` stands inside `tiers { ... }`", "put it there");
        continue;
      }
      if (is_repeated(block, seen)) continue;
      seen.push_back(&block);
      read_block(block, *spec);
    }
  }

  // Several bands of layers, and both phases, may stand side by side.
  bool is_repeated(const ast::Block& block, const std::vector<const ast::Block*>& seen) {
    if (block.name.text == "layers") return false;
    const auto label = [](const ast::Block& b) {
      return b.label ? std::string_view(b.label->text) : std::string_view();
    };
    const bool labels_count = block.name.text == "phase";
    for (const ast::Block* first : seen) {
      if (first->name.text != block.name.text || (labels_count && label(*first) != label(block))) continue;
      auto& error = diagnostics_.error(
          "MOE2007", block.name.span, fmt::format("the block {} stands twice", quote(block.name.text)), "join the two");
      error.related_span = first->name.span;
      error.related_message = "the first is here";
      return true;
    }
    return false;
  }

  void read_block(const ast::Block& block, const BlockSpec& spec) {
    if (spec.name == "cache") {
      values_.cache_block = &block;
      values_.cache = check_block(context_, block, spec);
      lower_short_forms(spec.name, values_.cache, short_forms_);
    } else if (spec.name == "prefetch") {
      values_.prefetch_block = &block;
      values_.prefetch = check_block(context_, block, spec);
      lower_short_forms(spec.name, values_.prefetch, short_forms_);
    } else if (spec.name == "schedule") {
      values_.schedule_block = &block;
      values_.schedule = check_block(context_, block, spec);
      lower_short_forms(spec.name, values_.schedule, short_forms_);
    } else if (spec.name == "monitor") {
      values_.monitor_block = &block;
      values_.monitor = check_block(context_, block, spec);
    } else if (spec.name != "layers" && spec.name != "phase") {
      if (spec.name == "tiers") values_.tiers_block = &block;
      if (spec.name == "learn") learn_block_ = &block;
      later_.push_back(&block);
    }
  }

  void add_on_miss(ir::Policy& out) {
    const bool approximate = out.schedule.approximate.value;
    const std::optional<ir::Assignment> on_miss = lower_on_miss(context_, *values_.schedule_block, approximate);
    if (!on_miss) return;
    out.schedule.on_miss = {std::get<std::vector<ir::Arm>>(on_miss->value), on_miss->span};
  }

  void lower_shared_blocks(ir::Policy& out) {
    const RuleContext rules{context_, file_.linked, lowered_.used, out.schedule.approximate.value};
    for (const ast::Block* block : later_) {
      if (too_many(diagnostics_)) return;
      const std::string_view name = block->name.text;
      if (name == "adapt") {
        lower_adapt(rules, *block, out);
      } else if (name == "per_layer") {
        out.per_layer = lower_per_layer(context_, *block, values_.cache);
        out.cache.scope.value = ir::Scope::layer;
      } else if (name == "tiers") {
        out.tiers = lower_tiers(context_, *block);
        check_capacity_beside_tiers();
      } else if (name == "memory") {
        out.memory = lower_memory(rules, *block);
      } else if (name == "learn") {
        out.learn = lower_learn(context_, *block);
      }
    }
  }

  // The fastest tier is the cache: one of the two says how large it is.
  void check_capacity_beside_tiers() {
    const BlockValues::Value* written = values_.cache.find("capacity");
    if (written == nullptr) return;
    auto& error = diagnostics_.error("MOE2165", written->key_span, "`tiers` says how large the fastest tier is",
                                     "remove `capacity` here, and set that of the first tier");
    error.related_span = values_.tiers_block->name.span;
    error.related_message = "`tiers` is here";
  }

  void check_required() {
    if (policy_.broken || values_.tiers_block != nullptr) return;
    if (values_.cache_block == nullptr) {
      const bool empty = policy_.blocks.empty();
      diagnostics_.error(
          "MOE2010", policy_.name.span,
          fmt::format("the policy {} {}", quote(policy_.name.text), empty ? "is empty" : "has no `cache`"),
          "add `cache { capacity = 8 }`");
      return;
    }
    const ast::Block& cache = *values_.cache_block;
    if (values_.cache.find("capacity") != nullptr || cache.broken || cache.items.empty()) return;
    diagnostics_.error("MOE2011", cache.name.span, "the cache has no `capacity`",
                       "add `capacity = 8`, or a share such as `capacity = 25%`");
  }

  void check_rules(ir::Policy& out) {
    check_pins_repeat(out.cache.pins, diagnostics_);
    check_pins_fit(out.cache, diagnostics_);
    check_pins_in_bands(out, diagnostics_);
    check_rules_together(out, diagnostics_);
    check_consent(out, diagnostics_);
    check_in_force(out, file_.replay, diagnostics_);
    check_unread_keys(values_, out, diagnostics_);
    check_learn_is_read(out);
  }

  // Other policies that a rule may put in its place might read it.
  void check_learn_is_read(const ir::Policy& out) {
    if (learn_block_ == nullptr || !lowered_.used.empty()) return;
    const InForce in_force = find_in_force(out);
    if (in_force.reads(ir::Variable::value) || in_force.asks(ir::Strategy::learned)) return;
    diagnostics_.warning(
        "MOE2022", learn_block_->name.span, "nothing reads what `learn` learns",
        "read `value`, for example `eviction = least(value)`, write `strategy = learned`, or remove it");
  }

  const FileContext& file_;
  const ast::Policy& policy_;
  CheckContext context_;
  ir::Diagnostics& diagnostics_;
  LoweredPolicy lowered_;
  PolicyValues values_;
  std::vector<ir::AdaptRule> short_forms_;
  std::vector<const ast::Block*> later_;
  const ast::Block* learn_block_ = nullptr;
};

}  // namespace

LoweredPolicy lower_policy(const FileContext& file, const ast::Policy& policy) {
  const Scope scope = build_scope(policy, file.linked.file().exprs, file.settings, file.diagnostics, file.nodes_left);
  return PolicyLowering(file, policy, scope).lower();
}

}  // namespace moe::frontend
