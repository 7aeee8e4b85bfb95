// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "runtime/pack/pack.h"

namespace moe::tools {

struct OrderOptions {
  std::string trace;
  std::optional<uint64_t> cluster_bytes;  ///< nothing: 64 MiB, or two extents if they are larger
  uint64_t seed = 1;
};

/// Orders the experts of `source` by a trace's co-activations; writes order and note to `into`.
/// Errors: what reading the trace says; invalid: it is of another shape, or a cluster is smaller than one extent.
Result<void> order_by_trace(const pack::Source& source, const OrderOptions& options, pack::PackOptions& into);

}  // namespace moe::tools
