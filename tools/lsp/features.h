// SPDX-License-Identifier: Apache-2.0
// What the language server says about a place of a text. Spans are bytes; the protocol is elsewhere (server.h).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "tools/lsp/workspace.h"

namespace moe::lsp {

/// Markdown, and the text that it explains.
struct Hover {
  SourceSpan span;
  std::string markdown;
};
std::optional<Hover> hover(const Workspace& workspace, const Snapshot& snapshot, uint32_t offset);

/// The kinds of the protocol that occur here, with its numbers.
enum class ItemKind : uint8_t {
  function = 3,
  variable = 6,
  module = 9,
  property = 10,
  keyword = 14,
  enum_member = 20,
  constant = 21,
};

struct CompletionItem {
  std::string label;
  ItemKind kind = ItemKind::keyword;
  std::string detail;    ///< one line beside the label: a type, a default
  std::string markdown;  ///< its documentation
  std::string snippet;   ///< what to insert, with `$0` where the cursor goes; "" for the label
};

struct Completion {
  SourceSpan replaced;
  std::vector<CompletionItem> items;  ///< at most kMostItems
};
inline constexpr size_t kMostItems = 500;
Completion complete(const Workspace& workspace, const Snapshot& snapshot, uint32_t offset);

/// Where something is declared. `file` is set when that is another text.
struct Definition {
  SnapshotPtr file;
  SourceSpan span;
  std::string path;  ///< of a whole file that need not be readable; "" otherwise
};
std::optional<Definition> find_definition(const Workspace& workspace, const Snapshot& snapshot, uint32_t offset);

/// A change that does what a finding's hint says.
struct QuickFix {
  std::string title;
  SourceSpan span;  ///< what is replaced
  std::string replacement;
};
/// nullopt when the hint takes a decision that only the author can make.
std::optional<QuickFix> quick_fix(const Snapshot& snapshot, const ir::Diagnostic& finding);

/// The declaration of a param or let of the policy, or of one that it extends; the nearest first.
struct FoundName {
  SnapshotPtr file;  ///< nullptr: the text itself
  const Declared* declared = nullptr;
};
std::optional<FoundName> find_name(const Workspace& workspace, const Snapshot& snapshot, const PolicyOutline& policy,
                                   std::string_view name);
/// The policy of that name, in the text or in what it imports.
struct FoundPolicy {
  SnapshotPtr file;  ///< nullptr: the text itself
  const PolicyOutline* policy = nullptr;
};
std::optional<FoundPolicy> find_policy(const Workspace& workspace, const Snapshot& snapshot, std::string_view name);

}  // namespace moe::lsp
