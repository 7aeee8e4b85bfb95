// SPDX-License-Identifier: Apache-2.0
// What a text declares, read off its tokens, so that it is there while the text is being written and does not parse.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/token.h"
#include "ir/source.h"

namespace moe::lsp {

using ir::SourceSpan;

/// A name and the text that declares it, as far as its line goes.
struct Declared {
  std::string name;
  SourceSpan name_span;
  SourceSpan span;
};

struct PolicyOutline {
  Declared policy;
  std::string base;          ///< the policy it extends; "" for none
  uint32_t first_token = 0;  ///< of the body, after its `{`
  uint32_t end_token = 0;    ///< one past the last that may belong to it: where the next policy begins
  std::vector<Declared> params;
  std::vector<Declared> lets;
  std::vector<Declared> tiers;
};

struct ImportOutline {
  std::string path;
  SourceSpan span;  ///< of the string, quotes included
};

struct Outline {
  std::vector<ImportOutline> imports;
  std::vector<PolicyOutline> policies;  ///< in order of text

  /// The policy whose text `token` belongs to; nullptr before the first.
  const PolicyOutline* policy_at(uint32_t token) const;
  const PolicyOutline* find(std::string_view name) const;
};

/// Linear; takes any tokens.
Outline read_outline(std::string_view text, const frontend::Tokens& tokens);

/// The declaration in `list` that has this name; nullptr if none has.
const Declared* find_declared(const std::vector<Declared>& list, std::string_view name);

}  // namespace moe::lsp
