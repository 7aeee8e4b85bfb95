// SPDX-License-Identifier: Apache-2.0
// Text -> tokens, and tokens -> a plain parse tree, by the tables of grammar_tables.h. The work is linear and needs no
// stack of the thread's.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "frontend/token.h"

namespace moe::frontend {

/// The rules of grammar/MoePolicy.g4, in its order: parser_table.cpp asserts that the numbers agree.
enum class Rule : uint8_t {
  file,
  file_item,
  version,
  import_file,
  policy,
  policy_body,
  member,
  param,
  domain,
  let,
  block,
  band,
  labelled,
  body,
  item,
  entry,
  bad_assign,
  bad_plain,
  plain,
  key,
  on_block,
  when_item,
  for_clause,
  cooldown,
  else_arm,
  choose,
  move,
  command,
  value,
  chain,
  operand,
  list,
  element,
  bound,
  ladder,
  rung,
  expr,
  bad_sign,
  name,
  callee,
};

/// Either a token or a node of the tree.
struct TreeChild {
  uint32_t index = 0;
  bool is_token = false;
};

struct TreeNode {
  Rule rule = Rule::file;
  bool broken = false;       ///< a syntax error was reported inside; children may be absent
  uint32_t first_token = 0;  ///< [first_token, end_token)
  uint32_t end_token = 0;
  uint32_t first_child = 0;  ///< [first_child, end_child) of ParseTree::children
  uint32_t end_child = 0;
};

/// Invariant: a node stands after all nodes below it, and a subtree is contiguous; the last node is the file.
struct ParseTree {
  std::vector<TreeNode> nodes;
  std::vector<TreeChild> children;
  std::span<const TreeChild> children_of(const TreeNode& node) const {
    return std::span(children).subspan(node.first_child, node.end_child - node.first_child);
  }
};

/// Where the parser met something that no rule allows.
struct SyntaxError {
  Rule rule = Rule::file;  ///< the innermost rule at work
  uint32_t token = 0;      ///< the token that does not fit
};

struct ParseOutcome {
  ParseTree tree;
  std::vector<SyntaxError> errors;  ///< in order of text
  bool gave_up = false;             ///< more than kMaxSyntaxErrors: the rest of the file was not looked at
};

inline constexpr size_t kMaxSyntaxErrors = 100;

/// Splits any bytes into tokens; what is no token of the language is `foreign` or `other`. Linear. Thread-safe.
Tokens tokenize(std::string_view text);

/// Parses balanced tokens (see repair.h). After an error it goes on with the next item. Thread-safe.
ParseOutcome parse_tokens(std::string_view text, const Tokens& tokens);

}  // namespace moe::frontend
