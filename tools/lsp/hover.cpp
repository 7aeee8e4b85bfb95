// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "frontend/key_docs.h"
#include "frontend/keys.h"
#include "tools/lsp/context.h"
#include "tools/lsp/documentation.h"
#include "tools/lsp/features.h"

namespace moe::lsp {
namespace {

using frontend::TokenKind;

class HoverWriter {
 public:
  HoverWriter(const Workspace& workspace, const Snapshot& snapshot, const Context& context)
      : workspace_(workspace), snapshot_(snapshot), context_(context), word_(snapshot.text(context.word)) {}

  std::string write() const {
    switch (context_.spot) {
      case Spot::member:
        return first_of({block(), keyword()});
      case Spot::item:
        return item();
      case Spot::block_key:
        return key(context_.key_block, word_);
      case Spot::value:
      case Spot::expression:
        return operand();
      case Spot::base:
      case Spot::policy:
        return policy();
      case Spot::tier:
        return tier();
      case Spot::action:
        return word("miss");
      case Spot::word:
        return first_of({word(context_.key), block()});
      default:
        return keyword();
    }
  }

 private:
  static std::string first_of(std::initializer_list<std::string> texts) {
    for (const std::string& text : texts) {
      if (!text.empty()) return text;
    }
    return {};
  }

  TokenKind next() const { return snapshot_.tokens()[context_.token + 1].kind; }

  std::string item() const {
    if (next() == TokenKind::assign) {
      return context_.block == "rule" || context_.block == "warn" || context_.block == "shed"
                 ? markdown_of(frontend::find_action_key_doc(word_))
                 : key(context_.block, word_);
    }
    return first_of({block(), keyword()});
  }

  std::string operand() const {
    if (std::string text = declared(); !text.empty()) return text;
    const std::string value = context_.key.empty() ? std::string() : word(context_.key);
    const bool names_metrics = context_.key == "metrics";
    if (context_.spot == Spot::value && !names_metrics) return first_of({value, call(), keyword(), variable()});
    return first_of({variable(), call(), keyword(), value, any_word()});
  }

  std::string call() const { return markdown_of(frontend::find_function_doc(word_)); }
  std::string variable() const { return markdown_of(frontend::find_variable_doc(word_)); }
  std::string block() const { return markdown_of(frontend::find_block_doc(word_)); }
  std::string keyword() const { return markdown_of(frontend::find_keyword_doc(word_)); }
  std::string any_word() const { return markdown_of(frontend::find_word_doc("", word_)); }
  std::string word(std::string_view key) const { return markdown_of(frontend::find_word_doc(key, word_)); }
  static std::string key(std::string_view block, std::string_view name) {
    return markdown_of(frontend::find_key_doc(block, name));
  }

  std::string declared() const {
    if (context_.policy == nullptr) return {};
    const std::optional<FoundName> found = find_name(workspace_, snapshot_, *context_.policy, word_);
    if (!found) return {};
    return code_block((found->file == nullptr ? snapshot_ : *found->file).text(found->declared->span));
  }

  std::string policy() const {
    const std::optional<FoundPolicy> found = find_policy(workspace_, snapshot_, word_);
    if (!found) return {};
    const Snapshot& file = found->file == nullptr ? snapshot_ : *found->file;
    const std::string comment = comment_above(file, found->policy->policy.span.begin);
    return code_block(file.text(found->policy->policy.span)) + (comment.empty() ? "" : "\n\n" + comment);
  }

  std::string tier() const {
    const Declared* tier = context_.policy == nullptr ? nullptr : find_declared(context_.policy->tiers, word_);
    return tier == nullptr ? std::string() : code_block(snapshot_.text(tier->span));
  }

  const Workspace& workspace_;
  const Snapshot& snapshot_;
  const Context& context_;
  std::string_view word_;
};

}  // namespace

std::optional<Hover> hover(const Workspace& workspace, const Snapshot& snapshot, uint32_t offset) {
  const Context context = context_at(snapshot, offset);
  if (context.word.begin == context.word.end) return std::nullopt;
  std::string markdown = HoverWriter(workspace, snapshot, context).write();
  if (markdown.empty()) return std::nullopt;
  return Hover{context.word, std::move(markdown)};
}

}  // namespace moe::lsp
