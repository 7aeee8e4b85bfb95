// SPDX-License-Identifier: Apache-2.0
// `extends`: a policy and its parents as one ast::Policy. What was inherited keeps its place in the parent's text.
#pragma once
#include <optional>
#include <vector>

#include "frontend/link.h"

namespace moe::frontend {

/// The parent with own's entries in place of its own: params, lets and keys by name, blocks and tiers by name, phases
/// by phase, bands by the same range, moves by their ends, `on` blocks as a whole; rules of adapt are appended. `mode`
/// and `on miss` replace one another, so do `tiers` and the cache's `capacity`. Lets are put in the order that they
/// need. Reports blocks that are empty in `own`; what stands twice in `own` stands twice in the result, to be found
/// there.
ast::Policy merge(const ast::Policy& parent, const ast::Policy& own, const ast::Expressions& exprs,
                  ir::Diagnostics& diagnostics);

/// Policies with everything that they inherit.
class Inheritance {
 public:
  Inheritance(const Linked& linked, ir::Diagnostics& diagnostics);
  /// The policy at this place of linked.policies(). Unknown parents, circles of `extends` and more than kMaxCopied
  /// copies are reported once; such a policy comes without what it would have inherited, and `broken`. Cost: that of
  /// the copies; no recursion. The reference holds as long as this object.
  const ast::Policy& whole(size_t policy);
  /// Entries, members and parts of expressions: what a copy of the policy costs.
  size_t cost(size_t policy);
  /// Counts a copy that `span` asks for; false when all of them are too much, which is reported once.
  bool may_copy(size_t cost, ast::SourceSpan span);

 private:
  struct Node {
    bool done = false;
    bool on_path = false;
    std::optional<ast::Policy> merged;  ///< of a policy that extends another
    std::optional<size_t> cost;
  };
  void finish(size_t policy, std::optional<size_t> parent);
  void report_circle(const std::vector<size_t>& path, size_t from);

  const Linked& linked_;
  ir::Diagnostics& diagnostics_;
  std::vector<Node> nodes_;
  size_t copied_ = 0;
};

}  // namespace moe::frontend
