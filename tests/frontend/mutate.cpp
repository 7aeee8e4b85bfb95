// SPDX-License-Identifier: Apache-2.0
#include "tests/frontend/mutate.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

#include "frontend/format.h"
#include "frontend/frontend.h"

namespace moe::test {
namespace {

constexpr std::array<std::string_view, 48> kPieces = {
    "{",      "}",        "[",      "]",     "(",    ")",        "=",   "==",    ":",       "|",     ",",
    "..",     "->",       "-",      "+",     "*",    "%",        "8",   "0.5",   "1e999",   "16GB",  "25%",
    "5.",     ".5",       "policy", "cache", "when", "capacity", "let", "param", "not",     "if",    "then",
    "else",   "and",      "\"",     "/*",    "*/",   "#",        "\n",  "tiers", "on miss", "adapt", "for 3 accesses",
    "least(", "\xC3\xA9", "\xFF",   "by ("};

class Mutator {
 public:
  Mutator(const std::vector<std::string>& corpus, uint64_t seed) : corpus_(corpus), random_(seed) {}

  std::string run() {
    text_ = corpus_[below(corpus_.size())];
    const size_t edits = 1 + below(8);
    for (size_t i = 0; i < edits; ++i) edit();
    return text_;
  }

 private:
  // std::uniform_int_distribution differs between standard libraries; a slight bias does not matter here.
  size_t below(size_t limit) { return limit == 0 ? 0 : static_cast<size_t>(random_() % limit); }

  std::string_view slice(const std::string& text) {
    const size_t begin = below(text.size() + 1);
    return std::string_view(text).substr(begin, below(40));
  }

  void edit() {
    const size_t at = below(text_.size() + 1);
    switch (below(8)) {
      case 0:
        text_.erase(at, 1 + below(4));
        break;
      case 1:
        text_.erase(at, below(60));
        break;
      case 2:
        text_.insert(at, kPieces[below(kPieces.size())]);
        break;
      case 3:
        text_.insert(at, 1, static_cast<char>(below(256)));
        break;
      case 4:
        text_.insert(at, std::string(slice(text_)));
        break;
      case 5:
        text_.insert(at, std::string(slice(corpus_[below(corpus_.size())])));
        break;
      case 6:
        text_.resize(at);
        break;
      default:
        if (at < text_.size()) text_[at] = static_cast<char>(32 + below(95));
        break;
    }
  }

  const std::vector<std::string>& corpus_;
  std::mt19937_64 random_;
  std::string text_;
};

void require(bool holds, const char* what, const std::string& text) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s, for the text\n%s\n", what, text.c_str());
  std::exit(1);
}

/// Formatting what parses changes nothing the second time.
void exercise_format(const ir::SourceFile& file) {
  ir::Diagnostics diagnostics;
  const std::optional<std::string> once = frontend::format_source(file, diagnostics);
  if (!once) return;
  const std::optional<std::string> twice = frontend::format_source(ir::SourceFile("once.moe", *once), diagnostics);
  require(twice == once, "formatting again changes the text", std::string(file.text()));
}

}  // namespace

std::string mutate(const std::vector<std::string>& corpus, uint64_t seed) { return Mutator(corpus, seed).run(); }

size_t exercise(const std::string& text) {
  const ir::SourceFile file("mutated.moe", text);
  ir::Diagnostics diagnostics;
  const frontend::ParseResult parsed = frontend::parse(file, diagnostics);
  require(parsed.file.has_value() || diagnostics.has_errors(), "no file and no error", text);
  if (parsed.file) {
    require(!frontend::ast::print_text(*parsed.file).empty() || parsed.file->policies.empty(), "empty outline", text);
    require(!frontend::ast::print_json(*parsed.file).empty(), "empty JSON", text);
    const auto module = frontend::lower(*parsed.file, {}, diagnostics);
    require(module.has_value() == !diagnostics.has_errors(), "a module with errors, or none without", text);
    if (module) {
      for (const ir::Policy& policy : module->policies) {
        require(ir::verify(policy).empty(), "the IR breaks an invariant", text);
      }
    }
  }
  exercise_format(file);
  for (const ir::Diagnostic& finding : diagnostics.items()) {
    require(finding.span.begin <= finding.span.end && finding.span.end <= text.size(), "a span outside of the text",
            text);
    require(!finding.message.empty(), "an empty message", text);
  }
  require(diagnostics.empty() == ir::render_text(file, diagnostics, true).empty(), "text rendering", text);
  require(!ir::render_json(file, diagnostics).empty(), "JSON rendering", text);
  return diagnostics.items().size();
}

}  // namespace moe::test
