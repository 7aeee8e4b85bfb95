// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "ir/bind.h"
#include "replay/trace.h"
#include "runtime/base/result.h"

namespace moe::tools {

/// The trace says the shape; --model may add the experts' size, and must not contradict it.
Result<ir::ModelShape> shape_of(const replay::Trace& trace, const std::string& model);

}  // namespace moe::tools
