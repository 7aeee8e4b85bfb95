// SPDX-License-Identifier: Apache-2.0
// What a policy may change: the model's output (exactness), and its own decisions by timing (timing_free).
#include "ir/policy.h"

namespace moe::ir {

// An expert computed on the host rounds as the host does, so only the host backend reproduces the fully resident run.
// No action of the language stands an expert in by something else, so no policy is approximate.
Exactness exactness(const Policy& policy) {
  return policy.schedule.mode.value == ScheduleMode::gpu_only ? Exactness::exact : Exactness::exact_on_host;
}

// Whether a prefetch had started when it became stale is measured, not decided.
bool timing_free(const Policy& policy) {
  return policy.prefetch.strategy.value == Strategy::none || !policy.prefetch.cancel_stale.value;
}

}  // namespace moe::ir
