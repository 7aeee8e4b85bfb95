// SPDX-License-Identifier: Apache-2.0
#include "frontend/lower.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <map>

#include "frontend/frontend.h"
#include "frontend/limits.h"
#include "frontend/lower_keys.h"
#include "frontend/scope.h"
#include "frontend/text.h"
#include "frontend/unsupported.h"

namespace moe::frontend {
namespace {

void check_version(const ast::File& file, ir::Diagnostics& diagnostics) {
  for (const ast::Version& version : file.versions) {
    const ast::Expr& number = file.exprs[version.number];
    if (number.kind != ast::ExprKind::number) continue;
    if (number.unit != Unit::none) {
      diagnostics.error("MOE2012", number.span, "a version has no unit",
                        fmt::format("write `version {}`", number.number));
    } else if (number.number > kLanguageVersion) {
      diagnostics.error("MOE2012", number.span,
                        fmt::format("the file asks for language version {}, this compiler knows up to {:.1f}",
                                    number_text(number.number), kLanguageVersion),
                        "use a newer compiler");
    }
  }
}

class PolicyLowering {
 public:
  /// `nodes_left`: as in CheckContext. `replay`: as in LowerOptions.
  PolicyLowering(const ast::File& file, const ast::Policy& policy, const Scope& scope, ir::Diagnostics& diagnostics,
                 size_t* nodes_left, bool replay)
      : file_(file),
        policy_(policy),
        context_{file.exprs, diagnostics, &scope, nodes_left},
        diagnostics_(diagnostics),
        replay_(replay) {
    values_.policy = &policy;
  }

  ir::Policy lower() {
    check_base();
    check_blocks();
    check_later_blocks();
    check_required();
    ir::Policy out;
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
    check_rules(out);
    return out;
  }

 private:
  void check_base() {
    if (!policy_.base) return;
    const ast::Name& base = *policy_.base;
    std::vector<std::string_view> names;
    for (const ast::Policy& policy : file_.policies) names.push_back(policy.name.text);
    const bool known = std::find(names.begin(), names.end(), std::string_view(base.text)) != names.end();
    if (base.text == policy_.name.text) {
      diagnostics_.error("MOE2121", base.span, "a policy cannot extend itself");
    } else if (!known && file_.imports.empty()) {
      diagnostics_.error("MOE2013", base.span, fmt::format("there is no policy {} in this file", quote(base.text)),
                         suggest(base.text, names));
    }
    report_unsupported(diagnostics_, base.span, "extends", "copy the blocks of the other policy");
  }

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
      check_supported_block(block, *spec);
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

  void check_supported_block(const ast::Block& block, const BlockSpec& spec) {
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
      later_.push_back(&block);
    }
  }

  void add_on_miss(ir::Policy& out) {
    const bool approximate = out.schedule.approximate.value;
    const std::optional<ir::Assignment> on_miss = lower_on_miss(context_, *values_.schedule_block, approximate);
    if (!on_miss) return;
    out.schedule.on_miss = {std::get<std::vector<ir::Arm>>(on_miss->value), on_miss->span};
  }

  void check_later_blocks() {
    for (const ast::Block* block : later_) {
      if (too_many(diagnostics_)) return;
      const std::string_view name = block->name.text;
      if (name == "adapt") {
        check_adapt(context_, file_, *block);
      } else if (name == "per_layer") {
        check_per_layer(context_, *block, values_.cache);
      } else if (name == "tiers") {
        values_.tiers_block = block;
        check_tiers(context_, *block);
      } else if (name == "memory") {
        check_memory(context_, file_, *block);
      } else if (name == "learn") {
        check_block(context_, *block, *find_block(name));
      }
      report_unsupported(diagnostics_, block->name.span, name,
                         "supported blocks: `cache`, `prefetch`, `schedule` and `monitor`");
    }
  }

  void check_required() {
    if (policy_.broken || policy_.base || values_.tiers_block != nullptr) return;
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
    check_in_force(out, replay_, diagnostics_);
    check_unread_keys(values_, out, diagnostics_);
  }

  const ast::File& file_;
  const ast::Policy& policy_;
  CheckContext context_;
  ir::Diagnostics& diagnostics_;
  bool replay_;
  PolicyValues values_;
  std::vector<ir::AdaptRule> short_forms_;
  std::vector<const ast::Block*> later_;
};

void check_names(const ast::File& file, ir::Diagnostics& diagnostics) {
  std::map<std::string_view, ir::SourceSpan> first;
  for (const ast::Policy& policy : file.policies) {
    const auto [place, inserted] = first.emplace(policy.name.text, policy.name.span);
    if (inserted) continue;
    auto& error = diagnostics.error("MOE2008", policy.name.span,
                                    fmt::format("two policies are called {}", quote(policy.name.text)), "rename one");
    error.related_span = place->second;
    error.related_message = "the first is here";
  }
}

}  // namespace

std::optional<ir::Module> lower(const ast::File& file, const LowerOptions& options, ir::Diagnostics& diagnostics) {
  if (too_many(diagnostics)) return std::nullopt;  // the parser has said so
  const size_t errors_before = diagnostics.num_errors();
  check_version(file, diagnostics);
  check_names(file, diagnostics);
  for (const ast::Import& import : file.imports) {
    if (too_many(diagnostics)) break;
    report_unsupported(diagnostics, import.span, "import", "copy the policy into this file");
  }
  std::vector<ParsedSetting> settings = parse_settings(options.settings, diagnostics);
  ir::Module module;
  size_t nodes_left = kMaxInlinedTotal;
  for (const ast::Policy& policy : file.policies) {
    if (too_many(diagnostics)) break;
    const Scope scope = build_scope(policy, file.exprs, settings, diagnostics, &nodes_left);
    module.policies.push_back(
        PolicyLowering(file, policy, scope, diagnostics, &nodes_left, options.replay).lower());
  }
  module.num_own = module.policies.size();
  for (const ParsedSetting& setting : settings) {
    if (setting.used) continue;
    diagnostics.error("MOE2028", {}, fmt::format("no policy has a param {}", quote(setting.setting->name)));
  }
  report_if_too_many(diagnostics);
  if (file.broken || file.policies.empty() || diagnostics.num_errors() > errors_before) return std::nullopt;
  assert(std::all_of(module.policies.begin(), module.policies.end(),
                     [](const ir::Policy& policy) { return ir::verify(policy).empty(); }));
  return module;
}

std::optional<ir::Module> compile_to_ir(const ir::SourceFile& source, const LowerOptions& options,
                                        ir::Diagnostics& diagnostics) {
  const ParseResult parsed = parse(source, diagnostics);
  std::optional<ir::Module> module;
  if (parsed.file) module = lower(*parsed.file, options, diagnostics);
  diagnostics.sort();
  return module;
}

}  // namespace moe::frontend
