// SPDX-License-Identifier: Apache-2.0
// What a policy may change: the model's output (exactness), and its own decisions by timing (timing_free).
#include "ir/policy.h"

namespace moe::ir {

// An expert computed on the host rounds as the host does, so only the host backend reproduces the fully resident run.
// No action of the language stands an expert in by something else, so no policy is approximate.
Exactness exactness(const Policy& policy) {
  return policy.schedule.mode.value == ScheduleMode::gpu_only ? Exactness::exact : Exactness::exact_on_host;
}

// Whether a prefetch had started when it became stale is measured, not decided. Nor is it decided whether a prefetch
// finds a slot, where an expert may leave in the dispatch that uses it: its place is free, its slot is not.
bool timing_free(const Policy& policy) {
  if (policy.prefetch.strategy.value == Strategy::none) return true;
  const bool leaves_in_use =
      !policy.cache.protect_selected.value || policy.cache.eviction.value == Eviction::freq_threshold;
  return !policy.prefetch.cancel_stale.value && !leaves_in_use;
}

}  // namespace moe::ir
