// SPDX-License-Identifier: Apache-2.0
#include "codegen/native.h"

#include <algorithm>

#include "codegen/compiler.h"
#include "codegen/sites.h"
#include "runtime/decision/predict/layout.h"

namespace moe::codegen {
namespace {

using ir::Eviction;

bool has_kernel(const ir::EvictionRule& rule) {
  if (rule.kind == Eviction::segmented) return has_kernel(rule.segments[0]) && has_kernel(rule.segments[1]);
  return rule.kind <= Eviction::random || rule.kind == Eviction::least;
}

std::string name_of(const ir::EvictionRule& rule) {
  if (rule.kind == Eviction::least) return "least(E)";
  if (rule.kind == Eviction::segmented) return name_of(rule.segments[0]) + " | " + name_of(rule.segments[1]);
  return std::string(ir::to_word(rule.kind));
}

/// Parts in order of discovery, each once.
class Parts {
 public:
  void need(bool beyond, const std::string& what) {
    const std::string quoted = what.find('`') == std::string::npos ? "`" + what + "`" : what;
    if (beyond && std::find(parts_.begin(), parts_.end(), quoted) == parts_.end()) parts_.push_back(quoted);
  }
  std::vector<std::string> take() { return std::move(parts_); }

 private:
  std::vector<std::string> parts_;
};

void look_at(const ir::BoundRules& rules, Parts& parts) {
  parts.need(!has_kernel(rules.eviction), "eviction = " + name_of(rules.eviction));
  if (rules.prefetch_evict) parts.need(!has_kernel(*rules.prefetch_evict), "evict = " + name_of(*rules.prefetch_evict));
}

/// What affinity, sequence and trajectory keep is laid out, and fades, by numbers that must hold always.
bool varies_under_predictors(const Program& program) {
  const decision::Params& first = program.params.front();
  const bool has = decision::has_predictor(first, decision::Strategy::affinity) || decision::mixes_layers(first);
  return has && std::any_of(program.params.begin(), program.params.end(), [&](const decision::Params& p) {
           return p.store != first.store || p.frequency_decay != first.frequency_decay ||
                  p.decay_interval != first.decay_interval;
         });
}

/// Before the first dispatch tiers ask about pins, whose layers may have rules of their own.
bool sizes_vary_under_tiers(const Program& program) {
  const double size = program.params.front().expert_bytes;
  return !program.tier_sets.empty() && std::any_of(program.params.begin(), program.params.end(),
                                                   [&](const auto& p) { return p.expert_bytes != size; });
}

}  // namespace

std::vector<std::string> beyond_kernels(const Program& program) {
  if (program.variants.too_many) {
    return {"more than " + std::to_string(kMaxVariants) + " combinations of `layers`, `phase`, `adapt` and `choose`"};
  }
  Parts parts;
  for (const ir::BoundRules& rules : program.variants.rules) look_at(rules, parts);
  parts.need(varies_under_predictors(program),
             "a `store`, `frequency_decay` or `decay_interval` that changes under a predictor");
  parts.need(sizes_vary_under_tiers(program), "an `expert_size_gb` that changes under `tiers`");
  parts.need(program.num_tiers > decision::kMostTiers, "more than " + std::to_string(decision::kMostTiers) + " tiers");
  for (const ir::EvictionRule& rule : program.lower_evictions) {
    parts.need(!has_kernel(rule), "eviction = " + name_of(rule) + " of tiers");
  }
  std::vector<std::string> all = parts.take();
  for (std::string& part : beyond_sites(program)) all.push_back(std::move(part));
  return all;
}

std::vector<std::string> beyond_kernels(const ir::BoundPolicy& policy) { return beyond_kernels(Program(policy)); }

Result<void> check_native(const Program& program) {
  const std::vector<std::string> parts = beyond_kernels(program);
  if (parts.empty()) return {};
  std::string list;
  for (size_t i = 0; i < parts.size(); ++i) list += (i == 0 ? "" : ", ") + parts[i];
  return Error{Error::Kind::unsupported, "no native code is made for " + list + " of policy `" + program.policy.name +
                                             "`: the reference interpreter decides it (`moec replay --engine interp`)"};
}

bool has_static_kernel(const ir::BoundPolicy& policy) {
  const Program program(policy);
  const decision::Params& params = program.params.front();  // without its tables, so that `changes` is null
  return beyond_kernels(program).empty() && !program.has_changes && !decision::has_sites(params) &&
         !decision::needs_tables(params) && !decision::is_beyond_static(params);
}

}  // namespace moe::codegen
