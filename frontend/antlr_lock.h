// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <mutex>

namespace moe::frontend {

/// Held while any of ANTLR 4.9's simulators works: they count their objects in shared variables.
extern std::mutex antlr_lock;

}  // namespace moe::frontend
