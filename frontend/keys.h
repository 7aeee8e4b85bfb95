// SPDX-License-Identifier: Apache-2.0
// The blocks of the language and their keys: one table, read top to bottom. It drives the checks of every block, the
// lists in hints and "did you mean".
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace moe::frontend {

enum class ValueType : uint8_t {
  integer,    ///< a whole number
  real,       ///< a number; per cent is welcome where the range ends at 1
  time_ms,    ///< a bare number is milliseconds
  gigabytes,  ///< a bare number is 10^9 bytes
  size,       ///< bytes, with a unit
  boolean,
  word,       ///< one of `words`
  text,       ///< a string in quotes
  capacity,   ///< slots, per cent, a size or `auto`
  eviction,   ///< a word, `a | b` or least(E)
  admit,      ///< a word or when(E)
  strategy,   ///< a word, most(E), or a chain of them
  victim,     ///< an eviction word or least(E), or `cache`
  pins,       ///< a list of experts, `all`, or hottest(N)
  metrics,    ///< a list of metric names
  counts,     ///< a list of whole numbers
  condition,  ///< an expression that is true or false
  drop,       ///< when(E)
  order,      ///< least(E) or most(E)
  duration,   ///< an expression that is a time; a number is milliseconds
  ladder,     ///< by (E) [ ... ]
};

/// Numbers allowed: [low, high], or (low, high] when open.
struct NumberRange {
  double low = 0;
  double high = 0;
  bool open = false;
};

struct KeySpec {
  std::string_view name;
  ValueType type = ValueType::integer;
  NumberRange range;              ///< of numbers
  std::string_view words;         ///< the words it takes, separated by spaces
  std::string_view default_text;  ///< as in docs/language.md; "" for none
};

/// Kinds of items a block may hold besides its keys; a set.
enum ItemKinds : uint8_t { kNoItems = 0, kArms = 1, kRules = 2, kMoves = 4, kActions = 8 };

struct BlockSpec {
  std::string_view name;
  std::span<const KeySpec> keys;
  uint8_t items = kNoItems;
  std::string_view inner_blocks;  ///< names of the blocks it may hold, separated by spaces
  std::string_view labels;        ///< the labels it takes; "*": any name; "": none
  std::string_view on_events;     ///< `on EVENT { ... }` inside it
};

/// nullptr when there is none. `tier` and `on` stand inside other blocks and are found here too.
const BlockSpec* find_block(std::string_view name);
/// The blocks a policy may hold.
std::vector<std::string_view> block_names();

/// The key of that name, or of that old name.
const KeySpec* find_key(const BlockSpec& block, std::string_view name);
std::vector<std::string_view> key_names(const BlockSpec& block);

/// A key as an adapt rule names it, without its block.
struct ActionKey {
  const BlockSpec* block = nullptr;
  const KeySpec* key = nullptr;
};
/// Old names such as `prefetch_budget` included; nulls when there is none. Of a name in two blocks the first wins.
ActionKey find_action_key(std::string_view name);
std::vector<std::string_view> action_key_names();

/// "a b c" as its words.
std::vector<std::string_view> split_words(std::string_view words);
bool contains_word(std::string_view words, std::string_view word);

/// Whether some key takes this word as its value.
bool is_enum_word(std::string_view name);

/// What `monitor` measures and what conditions read of the same name.
std::span<const std::string_view> metric_names();

}  // namespace moe::frontend
