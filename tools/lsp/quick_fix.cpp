// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/lsp/features.h"

namespace moe::lsp {
namespace {

constexpr std::string_view kSuggestion = "did you mean `";

// The only text in backticks of `hint`; "" when there is none, or more than one.
std::string_view only_quoted(std::string_view hint) {
  const size_t open = hint.find('`');
  if (open == std::string_view::npos) return {};
  const size_t close = hint.find('`', open + 1);
  if (close == std::string_view::npos || hint.find('`', close + 1) != std::string_view::npos) return {};
  return hint.substr(open + 1, close - open - 1);
}

// Exactly one token: what replaces it cannot swallow anything else.
bool is_one_token(const Snapshot& snapshot, ir::SourceSpan span) {
  for (const frontend::Token& token : snapshot.tokens()) {
    if (token.begin == span.begin) return token.end == span.end && span.begin < span.end;
  }
  return false;
}

// The unit at the end of a number is underlined on its own.
bool is_unit(const ir::Diagnostic& finding) { return finding.code == "MOE1013"; }

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

QuickFix replace(const Snapshot& snapshot, ir::SourceSpan span, std::string_view text) {
  return {fmt::format("Replace `{}` by `{}`", snapshot.text(span), text), span, std::string(text)};
}

// The words of expressions that other languages write as signs: `&`, `&&`, `!`.
std::optional<QuickFix> word_for_sign(const Snapshot& snapshot, ir::SourceSpan span, std::string_view word) {
  const std::string_view text = snapshot.text();
  if (text[span.begin] == '&') {
    while (span.begin > 0 && text[span.begin - 1] == '&') --span.begin;
    while (span.end < text.size() && text[span.end] == '&') ++span.end;
    if (span.end - span.begin > 2) return std::nullopt;
  }
  QuickFix fix = replace(snapshot, span, word);
  if (span.begin > 0 && !is_space(text[span.begin - 1]) && text[span.begin - 1] != '(') fix.replacement.insert(0, " ");
  if (span.end < text.size() && !is_space(text[span.end])) fix.replacement += ' ';
  return fix;
}

QuickFix equals_sign(const Snapshot& snapshot, ir::SourceSpan span) {
  const std::string_view text = snapshot.text();
  QuickFix fix = replace(snapshot, span, "=");
  if (span.begin > 0 && !is_space(text[span.begin - 1])) fix.replacement.insert(0, " ");
  if (span.end < text.size() && !is_space(text[span.end])) fix.replacement += ' ';
  return fix;
}

// "write `X`": by what the finding underlines.
std::optional<QuickFix> written_hint(const Snapshot& snapshot, const ir::Diagnostic& finding, std::string_view better) {
  const ir::SourceSpan span = finding.span;
  const bool whole = snapshot.text(span).find_first_of("\r\n") == std::string_view::npos &&
                     better.find("...") == std::string_view::npos;
  if (finding.code == "MOE1010") return word_for_sign(snapshot, span, better);
  if (finding.code == "MOE1022") return equals_sign(snapshot, span);
  if (finding.code == "MOE1021" && whole) return replace(snapshot, span, better);
  const bool in_place = finding.code == "MOE1027" || finding.code == "MOE2024";
  if (in_place && is_one_token(snapshot, span)) return replace(snapshot, span, better);
  return std::nullopt;
}

}  // namespace

std::optional<QuickFix> quick_fix(const Snapshot& snapshot, const ir::Diagnostic& finding) {
  const ir::SourceSpan span = finding.span;
  if (span.begin >= span.end || span.end > snapshot.text().size()) return std::nullopt;
  const std::string_view hint = finding.hint;
  const std::string_view better = only_quoted(hint);
  if (hint.starts_with(kSuggestion) && hint.ends_with("`?") && !better.empty()) {
    if (!is_unit(finding) && !is_one_token(snapshot, span)) return std::nullopt;
    return replace(snapshot, span, better);
  }
  if (hint == "remove it" && (finding.code == "MOE1010" || finding.code == "MOE1024")) {
    return QuickFix{fmt::format("Remove `{}`", snapshot.text(span)), span, ""};
  }
  if (finding.code == "MOE2103" && hint.starts_with("raise `capacity` to at least ")) {
    if (!is_one_token(snapshot, span)) return std::nullopt;
    return replace(snapshot, span, hint.substr(hint.rfind(' ') + 1));
  }
  if (hint.starts_with("write `") && hint.ends_with('`') && !better.empty())
    return written_hint(snapshot, finding, better);
  return std::nullopt;
}

}  // namespace moe::lsp
