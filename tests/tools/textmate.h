// SPDX-License-Identifier: Apache-2.0
// As much of a TextMate grammar engine as the grammar of .moe needs: `match` rules with captures, and includes of the
// repository. At each place the rule that matches first wins, the earlier one where two match at the same place.
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace moe::test {

using Json = nlohmann::json;

struct Scoped {
  size_t begin = 0;
  size_t end = 0;
  std::string scope;
};

class TextMate {
 public:
  explicit TextMate(const Json& grammar);
  ~TextMate();
  TextMate(const TextMate&) = delete;
  TextMate& operator=(const TextMate&) = delete;

  /// What is wrong with the grammar: expressions that do not compile, includes of nothing, rules of unknown kinds.
  const std::vector<std::string>& errors() const { return errors_; }
  size_t num_rules() const;
  /// The pieces of one line that have a scope, in order of text.
  std::vector<Scoped> tokenize(const std::string& line) const;

 private:
  struct Rule;
  void add_patterns(const Json& patterns, const Json& repository, int depth);
  void add_rule(const Json& pattern);

  std::vector<Rule> rules_;
  std::vector<std::string> errors_;
};

}  // namespace moe::test
