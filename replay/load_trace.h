// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "replay/formats.h"

namespace moe::replay {

/// Reads a trace of any format: .moet, .moet.zst, .npz or JSON Lines, told apart by their first bytes. Errors begin
/// with the path.
Result<Trace> load_trace(const std::string& path, const TraceOptions& options = {});

/// Writes .moet, or .moet.zst when `path` ends so; another ending is an error.
Result<void> save_trace(const Trace& trace, const std::string& path);

}  // namespace moe::replay
