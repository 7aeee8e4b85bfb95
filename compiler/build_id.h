// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

namespace moe::compiler {

/// The linker's identification of the program or library that holds this code, in hex: another one after any change of
/// its code or data. "" where the linker wrote none.
const std::string& build_id();

}  // namespace moe::compiler
