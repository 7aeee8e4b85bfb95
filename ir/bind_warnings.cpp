// SPDX-License-Identifier: Apache-2.0
// What is legal and of no use: said when a policy meets a model.
#include <fmt/format.h>

#include <algorithm>

#include "ir/bind_capacity.h"

namespace moe::ir {
namespace {

void warn_about_pressure(const BindContext& context, const BoundPolicy& bound) {
  if (!context.rules.cache.memory_threshold) return;
  const auto used = [&](uint64_t num_resident) {
    return static_cast<double>(num_resident) * bound.expert_size_gb / bound.memory_budget_gb;
  };
  const SourceSpan span = context.rules.cache.memory_threshold->span;
  if (used(bound.total_capacity()) < bound.memory_threshold) {
    context.diagnostics.warning(
        "MOE2216", span,
        fmt::format(
            "memory pressure never comes: the full cache is {:.3g} of `memory_budget_gb`, below `memory_threshold`",
            used(bound.total_capacity())),
        "remove `memory_threshold`, or lower `memory_budget_gb`");
  } else if (used(1) >= bound.memory_threshold) {
    context.diagnostics.warning(
        "MOE2217", span,
        fmt::format("one expert alone is {:.3g} of `memory_budget_gb`, so none stays resident", used(1)),
        "raise `memory_budget_gb`");
  }
}

void warn_about_capacity(const BindContext& context, const BoundPolicy& bound) {
  const SourceSpan span = context.rules.cache.capacity.span;
  const bool never_inserts = bound.admit.kind == Admit::never;
  if (bound.capacity < bound.shape.top_k && !never_inserts) {
    context.diagnostics.warning(
        "MOE2208", span,
        fmt::format("a capacity of {} is below the {} experts that every token selects, so every "
                    "dispatch streams",
                    bound.capacity, bound.shape.top_k),
        fmt::format("raise `capacity` to at least {}", bound.shape.top_k));
  }
  const bool by_recency = bound.eviction == Eviction::lru || bound.eviction == Eviction::fifo;
  const uint64_t round = uint64_t{bound.shape.top_k} * bound.shape.num_layers;
  if (by_recency && bound.scope == Scope::global && bound.shape.num_layers > 1 && bound.capacity <= round &&
      bound.capacity < bound.num_keys() && !never_inserts) {
    context.diagnostics.warning(
        "MOE2209", context.rules.cache.eviction.span.is_default() ? span : context.rules.cache.eviction.span,
        fmt::format("a global `{}` with {} slots can hardly hit: a layer comes back after {} other selections",
                    to_word(bound.eviction.kind), bound.capacity, round),
        fmt::format("write `scope = layer  capacity = {}`",
                    std::max<uint32_t>(1, bound.capacity / bound.shape.num_layers)));
  }
}

}  // namespace

void warn_about_policy(const BindContext& context, const BoundPolicy& bound) {
  warn_about_capacity(context, bound);
  warn_about_pressure(context, bound);
}

}  // namespace moe::ir
