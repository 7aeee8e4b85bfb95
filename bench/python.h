// SPDX-License-Identifier: Apache-2.0
// MoE-PolicyLang 1.4.2 itself, where it is installed.
#pragma once
#include "bench/rows.h"

namespace moe::bench {

/// Lets bench/python_baseline.py time the package on the routing of all rows of group `policies`, in `interpreter`, and
/// writes what it says into them. Returns "moe-policylang 1.4.2, Python 3.11.7".
/// Errors: unsupported (the package or the interpreter is not there), io, format.
Result<std::string> time_python(const std::string& interpreter, const Routings& routings, std::vector<Row>& rows);

}  // namespace moe::bench
