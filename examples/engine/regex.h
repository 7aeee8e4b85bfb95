// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace engine {

/// A compiled Unicode regular expression, as a tokenizer.json gives one. PCRE2 does the work.
///
/// Dialect  that of the `tokenizers` library on letters, numbers, case and white space; `\s` is Unicode's White_Space.
/// Threads  any; matching changes nothing.
class Regex {
 public:
  /// Errors: data (does not compile; says `where` and why).
  Regex(std::string_view pattern, const std::string& where);

  /// Cuts `text` into matches and what lies between them, in order; no piece is empty. `text` is valid UTF-8 and must
  /// outlive the pieces. Errors: data (the pattern backtracks without end).
  void split(std::string_view text, std::vector<std::string_view>& pieces) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

}  // namespace engine
