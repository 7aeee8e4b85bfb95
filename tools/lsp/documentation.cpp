// SPDX-License-Identifier: Apache-2.0
#include "tools/lsp/documentation.h"

#include <fmt/format.h>

#include <algorithm>

namespace moe::lsp {
namespace {

std::string_view trimmed(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
}

// Characters that Markdown would read as marks.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\`*_[]<>#|").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string with_example(std::string text, std::string_view example) { return text + "\n\n" + code_block(example); }

}  // namespace

std::string summary_of(const frontend::KeyDoc& doc) {
  std::string out(doc.type);
  if (!doc.range.empty()) out += fmt::format(", {}", doc.range);
  if (!doc.default_text.empty()) out += fmt::format("; default {}", doc.default_text);
  return out;
}

std::string markdown_of(const frontend::BlockDoc* doc) {
  if (doc == nullptr) return {};
  return with_example(fmt::format("**{}**: {}", doc->name, doc->text), doc->example);
}

std::string markdown_of(const frontend::KeyDoc* doc) {
  if (doc == nullptr) return {};
  std::string text = fmt::format("**{}.{}**: {}\n\n{}", doc->block, doc->name, doc->text, doc->type);
  if (!doc->range.empty()) text += fmt::format(", {}", doc->range);
  text += doc->default_text.empty() ? ". No default." : fmt::format(". Default: {}.", doc->default_text);
  if (!doc->old_names.empty()) text += fmt::format(" Old name: `{}`.", doc->old_names);
  return with_example(text, doc->example);
}

std::string markdown_of(const frontend::WordDoc* doc) {
  if (doc == nullptr) return {};
  return fmt::format("**{}**: {}", doc->name, doc->text);
}

std::string markdown_of(const frontend::NameDoc* doc) {
  if (doc == nullptr) return {};
  return with_example(fmt::format("**{}**: {}\n\n{}; in {}.", doc->signature, doc->text, doc->type, doc->where),
                      doc->example);
}

std::string markdown_of(const frontend::KeywordDoc* doc) {
  if (doc == nullptr) return {};
  return with_example(fmt::format("**{}**: {}", doc->name, doc->text), doc->example);
}

std::string code_block(std::string_view text) {
  // The fence is longer than any run of backticks inside.
  size_t longest = 2;
  size_t run = 0;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  return fmt::format("{}moe\n{}\n{}", fence, text, fence);
}

std::string comment_above(const Snapshot& snapshot, uint32_t offset) {
  const ir::SourceFile& source = snapshot.source();
  std::vector<std::string_view> lines;
  for (uint32_t line = source.locate(offset).line; line-- > 1 && lines.size() < kMostCommentLines;) {
    std::string_view text = trimmed(source.line(line));
    if (!text.starts_with('#') && !text.starts_with("//")) break;
    text.remove_prefix(text.starts_with('#') ? 1 : 2);
    lines.push_back(trimmed(text));
  }
  std::string out;
  for (size_t i = lines.size(); i-- > 0;) out += escaped(lines[i]) + (i > 0 ? "\n" : "");
  return out;
}

}  // namespace moe::lsp
