// SPDX-License-Identifier: Apache-2.0
// `moec fmt`: one way to lay out a policy file.
//
// What changes is white space only (`;` is white space): every token and every comment stays as it is and in its order,
// numbers with their spelling, and therefore what the file means.
//
//   - Two spaces of indent for each block. One entry, rule, arm or block a line. A block with at most one entry and no
//     comment may stand on one line where its author wrote it so and it fits into 120 columns.
//   - One space around `=`, `->`, `:` and operators; none inside of brackets, after a sign, around the `..` and `:` of
//     lists and bands, and around the `.` of `prefetch.budget`.
//   - What does not fit into 120 columns goes on, four columns further in, before an operator or after a comma.
//   - Empty lines between entries stay, one at most; none at the begin or end of a block. Comments beside an entry
//   follow
//     it after two spaces; a comment right below such a comment and in the same column stays below it.
//   - Lines end as the file's first line does; the file ends with one newline.
#pragma once
#include <optional>
#include <string>

#include "ir/diagnostics.h"
#include "ir/source.h"

namespace moe::frontend {

/// The file laid out; formatting it again changes nothing. nullopt, with findings, when the parser finds an error: what
/// is not understood is not touched. So it is when the result would be larger than a file may be. Names and values are
/// not checked. Linear; safe from several threads at once.
std::optional<std::string> format_source(const ir::SourceFile& source, ir::Diagnostics& diagnostics);

}  // namespace moe::frontend
