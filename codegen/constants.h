// SPDX-License-Identifier: Apache-2.0
// The constants of a policy in this process's memory, as emit_constants.cpp writes them into a module: every variant's
// decision::Params, complete with the tables they point to.
#pragma once
#include <memory>
#include <vector>

#include "codegen/profile_tables.h"

namespace moe::codegen {

/// Points into the program, and into the policy it is of.
class Constants {
 public:
  /// `owner`: what owner_of() returns of these variants.
  Constants(const Program& program, const void* owner);
  Constants(const Constants&) = delete;
  Constants& operator=(const Constants&) = delete;

  const decision::Params& variant(uint32_t v) const { return variants_[v]; }
  const decision::Changes* changes() const { return variants_[0].changes; }

  /// Whose constants `variant` is one of.
  static const void* owner_of(const decision::Params& variant);

 private:
  void fill_tiers(const Program& program, decision::Params& p);
  void fill_changes(const Program& program);

  std::unique_ptr<std::byte[]> memory_;  ///< the owner, then the variants
  decision::Params* variants_ = nullptr;
  decision::Changes changes_{};
  decision::PerLayer per_layer_{};
  std::vector<decision::TierSet> tier_sets_;
  ProfileTables profile_;
};

}  // namespace moe::codegen
