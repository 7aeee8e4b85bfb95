// SPDX-License-Identifier: Apache-2.0
// What stands at a place of a text, and what may stand there. Read off the tokens before it, so that it works while the
// text is being written and does not parse.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "frontend/keys.h"
#include "frontend/variables.h"
#include "tools/lsp/snapshot.h"

namespace moe::lsp {

/// What the language lets one write at a place.
enum class Spot : uint8_t {
  nothing,      ///< in a comment, in a string, a name that the author invents
  file,         ///< outside of policies
  import_path,  ///< inside the string of an import
  base,         ///< after `extends`: a policy
  member,       ///< in a policy: a block, param or let
  item,         ///< in a block: a key, an inner block, a rule
  block_key,    ///< after `BLOCK.`: a key of that block
  value,        ///< after `key =`: a word of the key, or a constant
  expression,   ///< a variable, function, param or let
  policy,       ///< after `use` and `choose`
  tier,         ///< in a move
  action,       ///< after `->` in `on miss`
  word,         ///< after a keyword that takes one of a few words; `key` names the keyword
};

struct Context {
  Spot spot = Spot::nothing;
  SourceSpan word;             ///< the word at the place; empty there if none
  uint32_t token = 0;          ///< of the word, or of what follows the place
  std::string_view block;      ///< the innermost block, "rule" in the braces of a rule; "" in none
  bool in_list = false;        ///< directly inside `[ ]`
  std::string_view key_block;  ///< of a value, block_key or expression: the key's block, where it is known
  std::string_view key;        ///< of a value or expression: its key; "" for a let or a rule's condition
  frontend::Place place = frontend::kConstantPlace;  ///< of an expression: decides which variables it sees
  bool after_operand = false;  ///< of an item: what stands before it may go on (`when x > 1 and ...`)
  bool in_condition = false;   ///< of an item: it may go on as the condition of a rule, arm or move
  const PolicyOutline* policy = nullptr;
  std::vector<std::string_view> used;  ///< of an item: the keys that its block has already
};

/// The context of byte `offset`. A word that the place touches is not part of it: `prefetch { stra|` is an item's
/// place. Linear in the text.
Context context_at(const Snapshot& snapshot, uint32_t offset);

/// The block of a value's key, found by name where a rule leaves it out; nullptr when there is no such key.
const frontend::KeySpec* key_of(const Context& context);

}  // namespace moe::lsp
