// SPDX-License-Identifier: Apache-2.0
// Two or three keys that only make sense together.
#pragma once
#include <set>
#include <utility>
#include <vector>

#include "ir/diagnostics.h"
#include "ir/keys.h"
#include "ir/policy.h"

namespace moe::frontend {

/// What is judged together, without what is large: one of these is made for every band and every pair of rules.
struct Facts {
  ir::Rules rules;
  std::vector<ir::Key> own;  ///< the keys that the overrides being judged set; empty: the base

  /// These overrides over what is there; they are the ones being judged.
  void apply(const std::vector<ir::Assignment>& overrides);
  bool is_own(ir::Key key) const;
};
Facts facts_of(const ir::Policy& policy);
/// Whether Facts has the key.
bool is_judged(ir::Key key);

/// Reports values that cannot hold together, each once however many combinations they are in.
class Judge {
 public:
  explicit Judge(ir::Diagnostics& diagnostics) : diagnostics_(diagnostics) {}
  void judge(const Facts& facts);

 private:
  bool is_new(std::string_view code, ir::SourceSpan span) { return said_.emplace(code, span.begin).second; }
  void check_headroom(const Facts& facts);
  void check_budget(const Facts& facts);
  void check_overlap(const Facts& facts);
  void check_segments(const Facts& facts);

  ir::Diagnostics& diagnostics_;
  std::set<std::pair<std::string_view, uint32_t>> said_;
};

/// Defaults that follow what the base writes: `memory_headroom`, `budget`.
void adapt_defaults(ir::Policy& policy);
/// The same for overrides: what they imply is appended, without a place. `fetches`: something may ask for prefetches.
void append_defaults(const Facts& base, bool fetches, std::vector<ir::Assignment>& overrides);

}  // namespace moe::frontend
