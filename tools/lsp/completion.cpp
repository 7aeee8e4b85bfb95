// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "frontend/key_docs.h"
#include "frontend/keys.h"
#include "tools/lsp/context.h"
#include "tools/lsp/documentation.h"
#include "tools/lsp/features.h"

namespace moe::lsp {
namespace {

using frontend::KeySpec;
using frontend::split_words;
using frontend::ValueType;

class Completer {
 public:
  Completer(const Workspace& workspace, const Snapshot& snapshot, const Context& context)
      : workspace_(workspace), snapshot_(snapshot), context_(context) {}

  std::vector<CompletionItem> complete() {
    switch (context_.spot) {
      case Spot::file:
        add_keyword("policy", "policy $0 {\n  cache { capacity = 25% }\n}");
        add_keyword("import", "import \"$0\"");
        add_keyword("version", "version 2");
        break;
      case Spot::member:
        for (const std::string_view name : frontend::block_names()) add_block(name);
        add_keyword("param", "param $0 = ");
        add_keyword("let", "let $0 = ");
        break;
      case Spot::item:
        add_items();
        break;
      case Spot::block_key:
        if (const frontend::BlockSpec* block = frontend::find_block(context_.key_block)) add_keys(*block);
        break;
      case Spot::value:
        add_values();
        break;
      case Spot::expression:
        add_expression();
        break;
      case Spot::base:
      case Spot::policy:
        add_policies();
        break;
      case Spot::tier:
        if (context_.policy != nullptr) add_declared(context_.policy->tiers, ItemKind::constant, "tier");
        break;
      case Spot::action:
        add_words("miss", "load cpu cpu_load degrade shared skip");
        break;
      case Spot::word:
        add_words_after_keyword();
        break;
      case Spot::nothing:
      case Spot::import_path:
        break;
    }
    return std::move(items_);
  }

 private:
  void add(CompletionItem item) {
    if (items_.size() < kMostItems && seen_.insert(item.label).second) items_.push_back(std::move(item));
  }

  void add_keyword(std::string_view name, std::string_view snippet = "") {
    add({std::string(name), ItemKind::keyword, "", markdown_of(frontend::find_keyword_doc(name)),
         std::string(snippet)});
  }

  void add_block(std::string_view name) {
    std::string snippet = fmt::format("{} {{ $0 }}", name);
    if (name == "layers") snippet = "layers 0..$0 { }";
    if (name == "phase") snippet = "phase $0 { }";
    if (name == "tier") snippet = "tier $0 { }";
    add({std::string(name), ItemKind::module, "block", markdown_of(frontend::find_block_doc(name)),
         std::move(snippet)});
  }

  void add_event(std::string_view event) {
    add({fmt::format("on {}", event), ItemKind::keyword, "", markdown_of(frontend::find_word_doc("on", event)),
         fmt::format("on {} {{ $0 }}", event)});
  }

  void add_key(std::string_view block, const KeySpec& key) {
    const frontend::KeyDoc* doc = frontend::find_key_doc(block, key.name);
    add({std::string(key.name), ItemKind::property, doc == nullptr ? std::string() : summary_of(*doc), markdown_of(doc),
         fmt::format("{} = $0", key.name)});
  }

  void add_keys(const frontend::BlockSpec& block) {
    for (const KeySpec& key : block.keys) {
      const bool used = std::find(context_.used.begin(), context_.used.end(), key.name) != context_.used.end();
      if (!used) add_key(block.name, key);
    }
  }

  void add_items() {
    const std::string_view name = context_.block;
    if (context_.in_condition) {
      for (const std::string_view word : {"and", "or"}) add_keyword(word);
      if (name == "adapt") {
        for (const std::string_view word : {"for", "cooldown"}) add_keyword(word);
      }
    }
    if (name == "rule" || name == "warn" || name == "shed") return add_actions();
    if (name == "miss") {
      add_keyword("when", "when $0 -> ");
      add_keyword("else", "else -> $0");
      return;
    }
    const frontend::BlockSpec* block = frontend::find_block(name);
    if (block == nullptr) return;
    add_keys(*block);
    for (const std::string_view inner : split_words(block->inner_blocks)) add_block(inner);
    for (const std::string_view event : split_words(block->on_events)) add_event(event);
    if (name == "adapt") {
      add_keyword("when", "when $0 { }");
      add_keyword("choose", "choose $0 by  every  dispatches");
      add_keyword("revert");
    }
    if (name == "tiers") {
      add_keyword("promote", "promote $0 -> ");
      add_keyword("demote", "demote $0 -> ");
    }
    if (context_.after_operand && name == "tiers") {
      add_keyword("when");
      add_keyword("on", "on evict");
    }
  }

  void add_actions() {
    for (const std::string_view word : {"use", "rebalance", "trigger", "signal"}) add_keyword(word);
    for (const std::string_view name : frontend::block_names()) {
      const frontend::BlockSpec& block = *frontend::find_block(name);
      add_keys(block);  // a name in two blocks is the first's, as rules read it
    }
  }

  void add_words(std::string_view key, std::string_view words) {
    for (const std::string_view word : split_words(words)) {
      if (frontend::contains_word("least when hottest most", word)) {
        add_call(key, word);
      } else {
        add({std::string(word), ItemKind::enum_member, "", markdown_of(frontend::find_word_doc(key, word)), ""});
      }
    }
  }

  void add_call(std::string_view key, std::string_view name) {
    add({std::string(name), ItemKind::function, "", markdown_of(frontend::find_word_doc(key, name)),
         fmt::format("{}($0)", name)});
  }

  void add_words_after_keyword() {
    const std::string_view keyword = context_.key;
    if (keyword == "for") add_words("for", "accesses dispatches tokens");
    if (keyword == "rebalance") add_words("rebalance", "uniform entropy utility");
    if (keyword == "trigger") add_words("trigger", "memory_pressure");
    if (keyword == "phase") add_words("phase", "prefill decode");
    if (keyword == "on" && context_.block == "tiers") add_words("on", "evict");
    if (keyword == "on") {
      if (const frontend::BlockSpec* block = frontend::find_block(context_.block)) add_words("on", block->on_events);
    }
  }

  void add_values() {
    const KeySpec* key = key_of(context_);
    if (key != nullptr) {
      if (key->type == ValueType::metrics) return add_metrics();
      add_words(key->name, key->words);
      add_forms(*key);
    }
    const bool is_list = key != nullptr && key->type == ValueType::pins && context_.in_list;
    if (key == nullptr || !is_list) add_names(frontend::kConstantPlace);
  }

  void add_forms(const KeySpec& key) {
    switch (key.type) {
      case ValueType::boolean:
        add_keyword("true");
        add_keyword("false");
        break;
      case ValueType::eviction:
      case ValueType::victim:
        add_call(key.name, "least");
        break;
      case ValueType::strategy:
        add_call(key.name, "most");
        break;
      case ValueType::order:
        add_call(key.name, "least");
        add_call(key.name, "most");
        break;
      case ValueType::admit:
        add_call(key.name, "when");
        break;
      case ValueType::pins:
        if (!context_.in_list) add_call(key.name, "hottest");
        if (!context_.in_list) add_words(key.name, "all");
        break;
      case ValueType::ladder:
        if (!context_.in_list) add_keyword("by", "by ($0) [ ]");
        break;
      default:
        break;
    }
  }

  void add_metrics() {
    for (const std::string_view name : frontend::metric_names())
      add({std::string(name), ItemKind::variable, "metric", markdown_of(frontend::find_variable_doc(name)), ""});
  }

  void add_expression() {
    add_names(context_.place);
    if (context_.place != frontend::kConstantPlace) {
      const uint8_t place =
          context_.place == frontend::kAdmitPlace ? frontend::kAdmitPlace | frontend::kEvictPlace : context_.place;
      for (const std::string_view name : frontend::variable_names(static_cast<frontend::Place>(place))) {
        const frontend::NameDoc* doc = frontend::find_variable_doc(name);
        add({std::string(name), ItemKind::variable, doc == nullptr ? std::string() : std::string(doc->type),
             markdown_of(doc), ""});
      }
      add_words("phase", "prefill decode");
    }
    for (const std::string_view name : frontend::function_names()) {
      const frontend::FunctionSpec* function = frontend::find_function(name);
      const bool everywhere = function->places == frontend::kAllPlaces;
      if (!everywhere && (function->places & context_.place) == 0) continue;
      const frontend::NameDoc* doc = frontend::find_function_doc(name);
      add({std::string(name), ItemKind::function, doc == nullptr ? std::string() : std::string(doc->signature),
           markdown_of(doc), fmt::format("{}($0)", name)});
    }
    for (const std::string_view word : {"if", "not", "true", "false"}) add_keyword(word);
  }

  // Params and lets of the policy; a let is no constant, but may be one.
  void add_names(frontend::Place) {
    if (context_.policy == nullptr) return;
    add_declared(context_.policy->params, ItemKind::constant, "param");
    add_declared(context_.policy->lets, ItemKind::variable, "let");
  }

  void add_declared(const std::vector<Declared>& list, ItemKind kind, std::string_view what) {
    for (const Declared& declared : list) {
      const bool itself = declared.name_span == context_.word;
      if (!itself) add({declared.name, kind, std::string(what), code_block(snapshot_.text(declared.span)), ""});
    }
  }

  void add_policies_of(const Snapshot& file) {
    for (const PolicyOutline& policy : file.outline().policies) {
      if (&policy == context_.policy || policy.policy.name_span == context_.word) continue;
      add({policy.policy.name, ItemKind::constant, "policy", comment_above(file, policy.policy.span.begin), ""});
    }
  }

  void add_policies() {
    add_policies_of(snapshot_);
    for (const SnapshotPtr& file : workspace_.imports_of(snapshot_)) add_policies_of(*file);
  }

  const Workspace& workspace_;
  const Snapshot& snapshot_;
  const Context& context_;
  std::vector<CompletionItem> items_;
  std::set<std::string> seen_;
};

}  // namespace

Completion complete(const Workspace& workspace, const Snapshot& snapshot, uint32_t offset) {
  const Context context = context_at(snapshot, offset);
  return {context.word, Completer(workspace, snapshot, context).complete()};
}

}  // namespace moe::lsp
