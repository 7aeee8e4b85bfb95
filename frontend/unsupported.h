// SPDX-License-Identifier: Apache-2.0
// What the language has and this version does not do yet: said aloud, always, with one code.
#pragma once
#include <string>
#include <string_view>

#include "ir/diagnostics.h"

namespace moe::frontend {

/// "`word` is not supported yet"
void report_unsupported(ir::Diagnostics& diagnostics, ir::SourceSpan span, std::string_view word,
                        std::string hint = "");
/// "a list as a param is not supported yet"
void report_unsupported_phrase(ir::Diagnostics& diagnostics, ir::SourceSpan span, std::string_view phrase,
                               std::string hint = "");

}  // namespace moe::frontend
