// SPDX-License-Identifier: Apache-2.0
#include "ir/fix.h"

#include <algorithm>
#include <iterator>

namespace moe::ir {
namespace {

/// What stands between the backticks when `hint` is exactly `before` + "`...`" + `after`.
std::optional<std::string_view> quoted(std::string_view hint, std::string_view before, std::string_view after) {
  if (hint.size() <= before.size() + after.size() + 2) return std::nullopt;
  if (!hint.starts_with(before) || !hint.ends_with(after)) return std::nullopt;
  const std::string_view middle = hint.substr(before.size(), hint.size() - before.size() - after.size());
  const bool alone = middle.front() == '`' && middle.find('`', 1) == middle.size() - 1;
  return alone ? std::optional(middle.substr(1, middle.size() - 2)) : std::nullopt;
}

bool is_one_of(std::string_view code, std::initializer_list<std::string_view> codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/// `capacity: 8` becomes `capacity = 8`.
std::string assign_sign(std::string_view text, SourceSpan sign) {
  std::string out = "=";
  if (sign.begin > 0 && !is_space(text[sign.begin - 1])) out.insert(0, " ");
  if (sign.end < text.size() && !is_space(text[sign.end])) out += ' ';
  return out;
}

}  // namespace

std::optional<Fix> fix_for(const SourceFile& file, const Diagnostic& finding) {
  const SourceSpan span = finding.span;
  if (span.end <= span.begin || span.end > file.text().size()) return std::nullopt;
  const std::string_view guilty = file.text().substr(span.begin, span.end - span.begin);
  const auto replace = [span](std::string text) { return Fix{span, std::move(text)}; };

  if (const auto word = quoted(finding.hint, "did you mean ", "?")) {
    if (std::any_of(guilty.begin(), guilty.end(), is_space)) return std::nullopt;  // the word is a part of it only
    return replace(std::string(*word));
  }
  if (finding.hint == "remove it" && is_one_of(finding.code, {"MOE1010", "MOE1024", "MOE2009", "MOE2020"})) {
    return replace("");
  }
  if (finding.code == "MOE1026") return replace("");
  if (finding.code == "MOE1022") return replace(assign_sign(file.text(), span));
  const auto wanted = quoted(finding.hint, "write ", "");
  if (!wanted) return std::nullopt;
  if (finding.code == "MOE1010" && *wanted == "not") return replace("not ");
  if (is_one_of(finding.code, {"MOE1021", "MOE1027"})) return replace(std::string(*wanted));
  // Elsewhere what is to be written may be an example; it is the author's own where it holds what the author wrote.
  const bool own = is_one_of(finding.code, {"MOE2004", "MOE2024"}) && wanted->find(guilty) != std::string_view::npos;
  return own ? std::optional(replace(std::string(*wanted))) : std::nullopt;
}

}  // namespace moe::ir
