// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/textmate.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <map>

namespace moe::test {
namespace {

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};

}  // namespace

struct TextMate::Rule {
  std::string name;
  std::map<uint32_t, std::string> captures;
  std::unique_ptr<pcre2_code, FreeCode> code;
  std::unique_ptr<pcre2_match_data, FreeMatch> match;
};

TextMate::TextMate(const Json& grammar) { add_patterns(grammar.at("patterns"), grammar.at("repository"), 0); }

TextMate::~TextMate() = default;

size_t TextMate::num_rules() const { return rules_.size(); }

void TextMate::add_patterns(const Json& patterns, const Json& repository, int depth) {
  for (const Json& pattern : patterns) {
    if (!pattern.contains("include")) {
      add_rule(pattern);
      continue;
    }
    const std::string name = pattern.at("include").get<std::string>().substr(1);
    if (!repository.contains(name) || depth > 4) {
      errors_.push_back("an include of nothing: " + name);
    } else {
      add_patterns(repository.at(name).at("patterns"), repository, depth + 1);
    }
  }
}

void TextMate::add_rule(const Json& pattern) {
  if (!pattern.contains("match")) {
    errors_.push_back("a rule without `match`: " + pattern.dump());
    return;
  }
  const std::string expression = pattern.at("match");
  int error = 0;
  size_t at = 0;
  Rule rule;
  rule.name = pattern.value("name", "");
  rule.code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(), PCRE2_UTF, &error,
                                &at, nullptr));
  if (rule.code == nullptr) {
    errors_.push_back("does not compile at " + std::to_string(at) + ": " + expression);
    return;
  }
  rule.match.reset(pcre2_match_data_create_from_pattern(rule.code.get(), nullptr));
  const Json captures = pattern.value("captures", Json::object());
  for (const auto& [number, capture] : captures.items())
    rule.captures[static_cast<uint32_t>(std::stoul(number))] = capture.at("name").get<std::string>();
  rules_.push_back(std::move(rule));
}

std::vector<Scoped> TextMate::tokenize(const std::string& line) const {
  std::vector<Scoped> pieces;
  const auto* text = reinterpret_cast<PCRE2_SPTR>(line.data());
  for (size_t from = 0; from < line.size();) {
    const Rule* best = nullptr;
    for (const Rule& rule : rules_) {
      if (pcre2_match(rule.code.get(), text, line.size(), from, 0, rule.match.get(), nullptr) <= 0) continue;
      const bool earlier = best == nullptr || pcre2_get_ovector_pointer(rule.match.get())[0] <
                                                  pcre2_get_ovector_pointer(best->match.get())[0];
      if (earlier) best = &rule;
    }
    if (best == nullptr) break;
    const size_t* spans = pcre2_get_ovector_pointer(best->match.get());
    if (!best->name.empty()) pieces.push_back({spans[0], spans[1], best->name});
    for (const auto& [number, scope] : best->captures) {
      const size_t begin = spans[2 * number];
      if (begin != PCRE2_UNSET && begin < spans[2 * number + 1])
        pieces.push_back({begin, spans[2 * number + 1], scope});
    }
    from = std::max(spans[1], from + 1);
  }
  return pieces;
}

}  // namespace moe::test
