// SPDX-License-Identifier: Apache-2.0
// Findings as a SARIF log, for code-review services and editors.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "ir/diagnostics.h"

namespace moe::ir {

/// A file and what was found in it; both borrowed.
struct FileFindings {
  const SourceFile* file = nullptr;
  const Diagnostics* findings = nullptr;
};

/// A SARIF 2.1.0 log (OASIS standard, 2020) with one run: all files, one result for each finding, a rule for each code
/// that occurs, and the hints that can be applied as fixes. Findings in imported files, and their fixes, are there;
/// such a file is an artifact with the role `resultFile`. `failures`: sentences about files that could not be read.
/// `version`: the program's. Columns count UTF-16 code units from 1; a byte order mark counts in byte offsets only.
std::string render_sarif(std::span<const FileFindings> files, std::span<const std::string> failures,
                         std::string_view version);

}  // namespace moe::ir
