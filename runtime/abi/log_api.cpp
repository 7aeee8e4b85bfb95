// SPDX-License-Identifier: Apache-2.0
// moe.h: the decision log and the timeline.
#include "runtime/abi/handles.h"
#include "runtime/core/decision_log.h"
#include "runtime/core/timeline.h"

using moe::fail;
using moe::guarded;

extern "C" {

moe_status moe_decision_log_write(moe_runtime* runtime, const char* path) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    if (!path || !*path) return fail(MOE_INVALID, "`path` is %s", path ? "empty" : "NULL");
    if (!runtime->decision_log) return fail(MOE_INVALID, "the runtime has no decision log: set decision_log_bytes");
    const moe::Result<void> written = runtime->decision_log->write(path);
    return written ? MOE_OK : fail(written.error());
  });
}

moe_status moe_timeline_write(moe_runtime* runtime, const char* path) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    if (!path || !*path) return fail(MOE_INVALID, "`path` is %s", path ? "empty" : "NULL");
    if (!runtime->timeline) return fail(MOE_INVALID, "the runtime has no timeline: set timeline_bytes");
    const moe::Result<void> written = runtime->timeline->write(path);
    return written ? MOE_OK : fail(written.error());
  });
}

}  // extern "C"
