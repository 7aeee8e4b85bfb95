// SPDX-License-Identifier: Apache-2.0
// The documentation of names as Markdown, as editors show it. All take nullptr and give "" for it.
#pragma once
#include <string>
#include <string_view>

#include "frontend/key_docs.h"
#include "tools/lsp/snapshot.h"

namespace moe::lsp {

std::string markdown_of(const frontend::BlockDoc* doc);
std::string markdown_of(const frontend::KeyDoc* doc);
std::string markdown_of(const frontend::WordDoc* doc);
std::string markdown_of(const frontend::NameDoc* doc);
std::string markdown_of(const frontend::KeywordDoc* doc);

/// "share, above 0, at most 1; default 0.7": one line.
std::string summary_of(const frontend::KeyDoc& doc);

/// Text of the author, fenced so that nothing in it is Markdown.
std::string code_block(std::string_view text);

/// The comment that ends right above `offset`, without its marks; "" if none. At most kMostCommentLines lines.
std::string comment_above(const Snapshot& snapshot, uint32_t offset);
inline constexpr size_t kMostCommentLines = 20;

}  // namespace moe::lsp
