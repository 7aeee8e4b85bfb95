// SPDX-License-Identifier: Apache-2.0
// moe.h: the decision log and the timeline.
#include "runtime/abi/handles.h"
#include "runtime/core/decision_log.h"
#include "runtime/core/timeline.h"

using moe::fail;
using moe::guarded;

namespace {

/// `missing`: the error where the runtime's config asked for none.
template <class Log>
moe_status write(moe_runtime* runtime, const std::unique_ptr<Log> moe_runtime::* log, const char* missing,
                 const char* path) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    if (!path || !*path) return fail(MOE_INVALID, "`path` is %s", path ? "empty" : "NULL");
    if (!(runtime->*log)) return fail(MOE_INVALID, "%s", missing);
    const moe::Result<void> written = (runtime->*log)->write(path);
    return written ? MOE_OK : fail(written.error());
  });
}

}  // namespace

extern "C" {

moe_status moe_decision_log_write(moe_runtime* runtime, const char* path) {
  return write(runtime, &moe_runtime::decision_log, "the runtime has no decision log: set decision_log_bytes", path);
}

moe_status moe_timeline_write(moe_runtime* runtime, const char* path) {
  return write(runtime, &moe_runtime::timeline, "the runtime has no timeline: set timeline_bytes", path);
}

}  // extern "C"
