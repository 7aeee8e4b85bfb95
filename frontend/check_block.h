// SPDX-License-Identifier: Apache-2.0
// A block against the table of keys.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "frontend/check_value.h"

namespace moe::frontend {

/// The checked values of a block.
class BlockValues {
 public:
  /// value : otherwise when condition
  struct ShortForm {
    CheckedValue value;
    ir::SourceSpan value_span;
    ir::Expr condition;
    ir::SourceSpan span;  ///< of the whole
  };
  struct Value {
    const KeySpec* key = nullptr;
    ir::SourceSpan key_span;
    ir::SourceSpan span;  ///< of the value; of a short form's first
    CheckedValue value;
    std::optional<ShortForm> otherwise{};
  };

  void add(Value value) { values_.push_back(std::move(value)); }
  const std::vector<Value>& all() const { return values_; }

  /// nullptr when the key was not written.
  const Value* find(std::string_view key) const;
  /// The value if it was written and is right.
  template <class T>
  const T* get(std::string_view key) const {
    const Value* value = find(key);
    return value == nullptr ? nullptr : std::get_if<T>(&value->value);
  }

  /// These overwrite `out` when the key was written and its value is right.
  void read(std::string_view key, ir::Sourced<double>& out) const;
  void read(std::string_view key, ir::Sourced<uint32_t>& out) const;
  void read(std::string_view key, ir::Sourced<uint64_t>& out) const;
  void read(std::string_view key, ir::Sourced<bool>& out) const;
  /// Of the enumerators [0, count), the one whose word was written.
  template <class E>
  void read_word(std::string_view key, ir::Sourced<E>& out, int count) const {
    const Typed* word = get<Typed>(key);
    if (word == nullptr) return;
    for (int i = 0; i < count; ++i) {
      if (to_word(static_cast<E>(i)) == word->word) out = {static_cast<E>(i), find(key)->span};
    }
  }
  /// The same for rules that a word alone can say.
  template <class E, class Rule>
  void read_rule(std::string_view key, ir::Sourced<Rule>& out, int count) const {
    ir::Sourced<E> word;
    read_word(key, word, count);
    if (!word.span.is_default()) out = {word.value, word.span};
  }

 private:
  std::vector<Value> values_;
};

/// Checks keys (known, once, right values) and kinds of items. Does not enter inner blocks, rules or moves. Short forms
/// may stand where the key can be overridden, except in an `override_of`: "a phase", "a band of layers".
BlockValues check_block(const CheckContext& context, const ast::Block& block, const BlockSpec& spec,
                        std::string_view override_of = "");

/// Reports a name that no block has, with the nearest one that `allowed` lists.
void report_unknown_block(const CheckContext& context, const ast::Name& name,
                          const std::vector<std::string_view>& allowed);

}  // namespace moe::frontend
