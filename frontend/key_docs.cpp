// SPDX-License-Identifier: Apache-2.0
#include "frontend/key_docs.h"

#include <algorithm>

#include "frontend/keys.h"

namespace moe::frontend {
namespace {

template <class Doc>
const Doc* find_by_name(std::span<const Doc> docs, std::string_view name) {
  const auto found = std::find_if(docs.begin(), docs.end(), [&](const Doc& doc) { return doc.name == name; });
  return found == docs.end() ? nullptr : &*found;
}

template <class Test>
const KeyDoc* find_key_if(Test test) {
  for (const std::span<const KeyDoc> docs : {residency_key_docs(), movement_key_docs()}) {
    const auto found = std::find_if(docs.begin(), docs.end(), test);
    if (found != docs.end()) return &*found;
  }
  return nullptr;
}

}  // namespace

const BlockDoc* find_block_doc(std::string_view name) { return find_by_name(block_docs(), name); }

const KeyDoc* find_key_doc(std::string_view block, std::string_view key) {
  return find_key_if(
      [&](const KeyDoc& doc) { return doc.block == block && (doc.name == key || contains_word(doc.old_names, key)); });
}

const KeyDoc* find_action_key_doc(std::string_view key) {
  const ActionKey action = find_action_key(key);
  if (action.key != nullptr) return find_key_doc(action.block->name, action.key->name);
  return find_key_if([&](const KeyDoc& doc) { return doc.name == key || contains_word(doc.old_names, key); });
}

const WordDoc* find_word_doc(std::string_view key, std::string_view word) {
  const std::span<const WordDoc> docs = word_docs();
  const auto found = std::find_if(docs.begin(), docs.end(), [&](const WordDoc& doc) {
    return doc.name == word && (key.empty() || contains_word(doc.keys, key));
  });
  return found == docs.end() ? nullptr : &*found;
}

const NameDoc* find_variable_doc(std::string_view name) { return find_by_name(variable_docs(), name); }
const NameDoc* find_function_doc(std::string_view name) { return find_by_name(function_docs(), name); }
const KeywordDoc* find_keyword_doc(std::string_view name) { return find_by_name(keyword_docs(), name); }

}  // namespace moe::frontend
