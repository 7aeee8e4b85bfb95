// SPDX-License-Identifier: Apache-2.0
#include "replay/future.h"

#include <algorithm>
#include <limits>
#include <set>

#include "ir/visit.h"

namespace moe::replay {
namespace {

bool is_belady(const ir::EvictionRule& rule) {
  return rule.kind == ir::Eviction::belady ||
         std::any_of(rule.segments.begin(), rule.segments.end(), [](const auto& part) { return is_belady(part); });
}

bool sets_belady(const std::vector<ir::Assignment>& assignments) {
  return std::any_of(assignments.begin(), assignments.end(), [](const ir::Assignment& assignment) {
    const auto* rule = std::get_if<ir::EvictionRule>(&assignment.value);
    return rule != nullptr && is_belady(*rule);
  });
}

bool uses_belady(const ir::Policy& policy) {
  if (is_belady(policy.cache.eviction.value)) return true;
  if (policy.prefetch.evict && is_belady(policy.prefetch.evict->value)) return true;
  for (const ir::Band& band : policy.bands) {
    if (sets_belady(band.overrides)) return true;
  }
  for (const ir::PhaseRule& phase : policy.phases) {
    if (sets_belady(phase.overrides)) return true;
  }
  for (const ir::AdaptRule& rule : policy.adapt) {
    for (const ir::RuleAction& action : rule.actions) {
      if (action.kind == ir::RuleAction::Kind::assign && sets_belady({action.assignment})) return true;
    }
  }
  return std::any_of(policy.alternatives.begin(), policy.alternatives.end(), uses_belady);
}

}  // namespace

TraceFuture::TraceFuture(const Trace& trace) : uses_(size_t{trace.num_layers} * trace.num_experts) {
  uint64_t number = 0;
  std::set<uint16_t> seen;
  for (uint64_t first = 0, end = 0; first < trace.num_tokens; first = end) {
    end = trace.step_end(first);
    for (uint32_t layer = 0; layer < trace.num_layers; ++layer) {
      first_access_.push_back(number);
      seen.clear();
      for (uint64_t token = first; token < end; ++token) {
        const size_t offset = trace.offset(token, layer);
        for (size_t i = offset; i < offset + trace.top_k; ++i) {
          const uint16_t expert = trace.experts[i];
          if (expert == kNoExpert || !seen.insert(expert).second) continue;
          uses_[size_t{layer} * trace.num_experts + expert].push_back(number++);
        }
      }
    }
  }
}

void TraceFuture::begin_dispatch() { ++num_begun_; }

double TraceFuture::next_use(uint32_t key, uint64_t done) const {
  const uint64_t now = (num_begun_ == 0 ? 0 : first_access_[num_begun_ - 1]) + done;
  const std::vector<uint64_t>& uses = uses_[key];
  const auto next = std::lower_bound(uses.begin(), uses.end(), now);
  if (next == uses.end()) return std::numeric_limits<double>::infinity();
  return static_cast<double>(*next - now + 1);
}

bool needs_future(const ir::BoundPolicy& policy) {
  if (is_belady(policy.eviction)) return true;
  bool reads = policy.source != nullptr && uses_belady(*policy.source);
  const auto look = [&](const ir::Expr& expr) { reads = reads || expr.reads(ir::Variable::next_use); };
  ir::visit_exprs(static_cast<const ir::BoundRules&>(policy), look);
  if (policy.source != nullptr) ir::visit_exprs(*policy.source, look);
  return reads;
}

}  // namespace moe::replay
