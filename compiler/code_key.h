// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

#include "codegen/compiler.h"

namespace moe::compiler {

/// All that code in the cache depends on, as one text.
///   identity  as compile_to_bound gives it
///   build     build_id(); "": nothing tells this build from another, so there is no key: ""
std::string code_key(std::string_view identity, const codegen::Host& host, int opt_level, std::string_view build);

}  // namespace moe::compiler
