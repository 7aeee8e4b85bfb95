// SPDX-License-Identifier: Apache-2.0
// The pages of docs/diagnostics, one for each code, as they were when the library was built.
#pragma once
#include <span>
#include <string_view>

namespace moe::ir {

struct DiagnosticPage {
  std::string_view code;   ///< "MOE2103"
  std::string_view title;  ///< of its first line: "more pinned experts than slots"
  std::string_view text;   ///< the whole page, Markdown
};

/// All pages, codes ascending.
std::span<const DiagnosticPage> diagnostic_pages();

/// The page of a code; nullptr when there is none. Also takes `moe2103` and `2103`.
const DiagnosticPage* find_page(std::string_view code);

/// Whether the text has the form of a code, known or not: four digits, after `MOE` or alone; case does not matter.
bool looks_like_code(std::string_view text);

}  // namespace moe::ir
