// SPDX-License-Identifier: Apache-2.0
// A policy on kernels that serve every policy: its constants and expressions are data, so that it decides at once,
// while code is still being made for it. Decisions and state are those of that code.
#pragma once
#include <memory>

#include "codegen/constants.h"
#include "codegen/site_table.h"
#include "runtime/base/result.h"

namespace moe::codegen {

class AnyPolicy {
 public:
  /// Borrows `policy`. Errors: unsupported, for a policy without native code, and for an expression of more than
  /// SiteTable::kMostSteps nodes.
  static Result<std::unique_ptr<AnyPolicy>> make(const ir::BoundPolicy& policy);

  /// Those of the first dispatch of layer 0, as a descriptor has them.
  const decision::Params& params() const { return constants_.variant(program_.first_variant()); }
  /// decision::DispatchFn, and as fast a path: it allocates nothing.
  uint32_t dispatch(void* state, const decision::Input* input, decision::Output* output) const;

  const SiteTable& sites() const { return sites_; }

 private:
  explicit AnyPolicy(const ir::BoundPolicy& policy);

  Program program_;
  Constants constants_;
  SiteTable sites_;
};

}  // namespace moe::codegen
