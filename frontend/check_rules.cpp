// SPDX-License-Identifier: Apache-2.0
// Rules about two or three keys that only make sense together.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/lower.h"
#include "frontend/text.h"

namespace moe::frontend {

// At or over the threshold experts leave until the headroom is reached: it cannot lie above.
void check_headroom(ir::CacheRule& cache, ir::Diagnostics& diagnostics) {
  if (!cache.memory_threshold) return;
  const double threshold = cache.memory_threshold->value;
  if (cache.memory_headroom.span.is_default()) {
    cache.memory_headroom.value = std::min(cache.memory_headroom.value, 0.9 * threshold);
    return;
  }
  if (cache.memory_headroom.value <= threshold) return;
  diagnostics.error("MOE2101", cache.memory_headroom.span,
                    fmt::format("`memory_headroom` is above `memory_threshold`, which is {}", number_text(threshold)),
                    fmt::format("write at most {}", number_text(threshold)));
}

// Host compute and transfer must run side by side for one to be the cheaper.
void check_hybrid(const ir::ScheduleRule& schedule, ir::Diagnostics& diagnostics) {
  if (schedule.mode.value != ir::ScheduleMode::hybrid || schedule.overlap.value) return;
  diagnostics.error("MOE2102", schedule.overlap.span, "`mode = hybrid` needs `overlap = true`",
                    "remove `overlap = false`, or choose another mode");
}

// A budget above the capacity would evict what it has just fetched. Only where both are known: the default adapts.
void check_budget(const ir::CacheRule& cache, ir::PrefetchRule& prefetch, ir::Diagnostics& diagnostics) {
  if (cache.capacity.span.is_default() || cache.capacity.value.kind != ir::Capacity::Kind::slots) return;
  // One dispatch fetches for as many layers as it looks ahead, each with a cache of its own under `scope = layer`.
  const bool several =
      prefetch.strategy.value == ir::Strategy::lookahead || prefetch.strategy.value == ir::Strategy::gate;
  const uint64_t num_layers = cache.scope.value == ir::Scope::layer && several ? prefetch.lookahead.value : 1;
  const uint64_t places = cache.capacity.value.amount * num_layers;
  if (prefetch.budget.value <= places) return;
  if (prefetch.budget.span.is_default()) {
    prefetch.budget.value = static_cast<uint32_t>(places);
    return;
  }
  auto& error = diagnostics.error("MOE2106", prefetch.budget.span,
                                  fmt::format("`budget` is larger than the {} experts that the cache holds", places),
                                  fmt::format("write `budget = {}`, or raise `capacity`", places));
  error.related_span = cache.capacity.span;
  error.related_message = "the capacity is set here";
}

}  // namespace moe::frontend
