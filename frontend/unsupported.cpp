// SPDX-License-Identifier: Apache-2.0
#include "frontend/unsupported.h"

#include <fmt/format.h>

#include "frontend/text.h"

namespace moe::frontend {

void report_unsupported(ir::Diagnostics& diagnostics, ir::SourceSpan span, std::string_view word, std::string hint) {
  report_unsupported_phrase(diagnostics, span, quote(word), std::move(hint));
}

void report_unsupported_phrase(ir::Diagnostics& diagnostics, ir::SourceSpan span, std::string_view phrase,
                               std::string hint) {
  diagnostics.error("MOE2900", span, fmt::format("{} is not supported yet", phrase), std::move(hint));
}

}  // namespace moe::frontend
