// SPDX-License-Identifier: Apache-2.0
#include "frontend/lower.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <map>
#include <set>
#include <tuple>

#include "frontend/check_adapt.h"
#include "frontend/extend.h"
#include "frontend/frontend.h"
#include "frontend/limits.h"
#include "frontend/text.h"

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

/// What is inherited is checked once for each heir, and found wrong once.
class RepeatedFindings {
 public:
  explicit RepeatedFindings(ir::Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  /// Drops what is new since the last call and has been said before.
  void drop() {
    diagnostics_.remove_if(checked_, [this](const ir::Diagnostic& finding) {
      if (finding.span.is_default()) return false;
      return !said_.emplace(finding.code, finding.span.begin, finding.span.end, finding.message).second;
    });
    checked_ = diagnostics_.items().size();
  }

 private:
  ir::Diagnostics& diagnostics_;
  size_t checked_ = 0;
  std::set<std::tuple<std::string, uint32_t, uint32_t, std::string>> said_;
};

/// Policies one by one, then what ties them together.
class ModuleLowering {
 public:
  explicit ModuleLowering(const FileContext& file)
      : file_(file),
        diagnostics_(file.diagnostics),
        inheritance_(file.linked, file.diagnostics),
        repeated_(file.diagnostics) {}

  ir::Module lower() {
    ir::Module module;
    module.num_own = file_.linked.num_own();
    for (size_t i = 0; i < module.num_own; ++i) add(i);
    for (size_t i = 0; i < module.num_own && !too_many(diagnostics_); ++i) add_used(i);
    for (size_t i = 0; i < module.num_own && !too_many(diagnostics_); ++i) {
      module.policies.push_back(with_alternatives(i));
      check_adapt(module.policies.back(), diagnostics_);
      repeated_.drop();
    }
    // What is imported is there to be used, and its rules are not.
    for (size_t i = module.num_own; i < order_.size() && !too_many(diagnostics_); ++i) {
      module.policies.push_back(without_rules(lowered_.at(order_[i]).policy));
    }
    return module;
  }

 private:
  void add(size_t policy) {
    if (lowered_.contains(policy) || too_many(diagnostics_)) return;
    lowered_.emplace(policy, lower_policy(file_, inheritance_.whole(policy)));
    if (policy < file_.linked.num_own()) names_.emplace(file_.linked.policies()[policy].name.text, policy);
    order_.push_back(policy);
    repeated_.drop();
  }

  // An inherited rule sees the policies of the file that it was written in: two of one name can meet.
  void add_used(size_t policy) {
    const std::vector<UsedPolicy> used_by = lowered_.at(policy).used;
    for (const UsedPolicy& used : used_by) {
      add(used.policy);
      const ast::Name& name = file_.linked.policies()[used.policy].name;
      const auto [place, inserted] = names_.emplace(name.text, used.policy);
      if (inserted || place->second == used.policy) continue;
      auto& error =
          diagnostics_.error("MOE2008", used.span,
                             fmt::format("two policies called {} come together here", quote(name.text)), "rename one");
      error.related_span = file_.linked.policies()[place->second].name.span;
      error.related_message = "the other one is here";
    }
  }

  ir::Policy with_alternatives(size_t policy) {
    const LoweredPolicy& lowered = lowered_.at(policy);
    ir::Policy out = lowered.policy;
    std::set<size_t> taken;
    for (const UsedPolicy& used : lowered.used) {
      const auto other = lowered_.find(used.policy);
      if (other == lowered_.end() || !taken.insert(used.policy).second) continue;
      if (!inheritance_.may_copy(inheritance_.cost(used.policy), used.span)) continue;
      const ir::Policy& alternative = other->second.policy;
      if (used.policy != policy && has_rules(alternative)) {
        diagnostics_.warning("MOE2156", used.span,
                             fmt::format("the rules of {} are left out: those of the policy that uses it stay in force",
                                         quote(alternative.name.value)),
                             "write the rules that are needed in this policy");
      }
      out.alternatives.push_back(without_rules(alternative));
    }
    // Rules and choices are printed apart: what they name must not depend on which came first.
    std::sort(out.alternatives.begin(), out.alternatives.end(),
              [](const ir::Policy& a, const ir::Policy& b) { return a.name.value < b.name.value; });
    return out;
  }

  static bool has_rules(const ir::Policy& policy) {
    const bool acts = policy.memory && (!policy.memory->on_warn.empty() || !policy.memory->on_shed.empty());
    return acts || !policy.adapt.empty() || !policy.choose.empty();
  }

  static ir::Policy without_rules(ir::Policy policy) {
    policy.adapt.clear();
    policy.choose.clear();
    if (policy.memory) {
      policy.memory->on_warn.clear();
      policy.memory->on_shed.clear();
    }
    return policy;
  }

  const FileContext& file_;
  ir::Diagnostics& diagnostics_;
  Inheritance inheritance_;
  RepeatedFindings repeated_;
  std::map<size_t, LoweredPolicy> lowered_;  ///< by place in the linked list
  std::vector<size_t> order_;                ///< of lowering: the file's own first
  std::map<std::string, size_t> names_;      ///< of the module
};

}  // namespace

std::optional<ir::Module> lower(const ast::File& file, const LowerOptions& options, ir::Diagnostics& diagnostics) {
  if (too_many(diagnostics)) return std::nullopt;  // the parser has said so
  const size_t errors_before = diagnostics.num_errors();
  const Linked linked = link(file, file.name, options.imports, diagnostics);
  check_version(linked.file(), diagnostics);
  std::vector<ParsedSetting> settings = parse_settings(options.settings, diagnostics);
  size_t nodes_left = kMaxInlinedTotal;
  const FileContext context{linked, settings, diagnostics, &nodes_left, options.replay};
  ir::Module module = ModuleLowering(context).lower();
  for (const ParsedSetting& setting : settings) {
    if (setting.used) continue;
    diagnostics.error("MOE2028", {}, fmt::format("no policy has a param {}", quote(setting.setting->name)));
  }
  report_if_too_many(diagnostics);
  const bool good = !linked.file().broken && !file.policies.empty();
  if (!good || diagnostics.num_errors() > errors_before) return std::nullopt;
  linked.report_unused(diagnostics);
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
