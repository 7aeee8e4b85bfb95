// SPDX-License-Identifier: Apache-2.0
// What each name of the language means, in the words of docs/language.md: one table per kind of name. Editors show it
// (`moec lsp`), and a test keeps it complete: every key, word, variable and function of keys.cpp and variables.cpp is
// here.
//
// All text is Markdown: whole sentences, names of the language in backticks. Plain constant data; safe from any thread.
#pragma once
#include <span>
#include <string_view>

namespace moe::frontend {

/// A block of the language.
struct BlockDoc {
  std::string_view name;
  std::string_view text;
  std::string_view example;  ///< one line
};

/// A key of a block.
struct KeyDoc {
  std::string_view block;
  std::string_view name;
  std::string_view text;          ///< one to three sentences: what it does, and when to use it
  std::string_view type;          ///< "experts", "time", ...: what its value is
  std::string_view range;         ///< "at least 1"; "" where the type says all
  std::string_view default_text;  ///< "" for none
  std::string_view example;       ///< `key = value`, accepted as it is inside its block
  std::string_view old_names;     ///< names that still work, separated by spaces; in adapt rules, or in the block
};

/// A word that some keys take as their value, or an action.
struct WordDoc {
  std::string_view keys;  ///< the keys that take it, separated by spaces
  std::string_view name;
  std::string_view text;  ///< one sentence
};

/// A variable or function of expressions.
struct NameDoc {
  std::string_view name;
  std::string_view signature;  ///< "use_rate(N)"; of a variable its name
  std::string_view type;       ///< "ratio", "time", ...
  std::string_view where;      ///< where it may stand
  std::string_view text;
  std::string_view example;
};

/// A word that opens or joins a construct: `policy`, `when`, `cooldown`, ...
struct KeywordDoc {
  std::string_view name;
  std::string_view text;
  std::string_view example;
};

std::span<const BlockDoc> block_docs();
std::span<const KeyDoc> residency_key_docs();  ///< cache, per_layer, tiers, tier, memory
std::span<const KeyDoc> movement_key_docs();   ///< prefetch, learn, schedule, monitor
std::span<const WordDoc> word_docs();
std::span<const NameDoc> variable_docs();
std::span<const NameDoc> function_docs();
std::span<const KeywordDoc> keyword_docs();

/// These return nullptr when there is no such name. Old names are found too.
const BlockDoc* find_block_doc(std::string_view name);
const KeyDoc* find_key_doc(std::string_view block, std::string_view key);
/// As an adapt rule names a key, without its block.
const KeyDoc* find_action_key_doc(std::string_view key);
/// The word as a value of `key`; with "" as any key's.
const WordDoc* find_word_doc(std::string_view key, std::string_view word);
const NameDoc* find_variable_doc(std::string_view name);
const NameDoc* find_function_doc(std::string_view name);
const KeywordDoc* find_keyword_doc(std::string_view name);

}  // namespace moe::frontend
