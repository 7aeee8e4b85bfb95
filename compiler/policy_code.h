// SPDX-License-Identifier: Apache-2.0
// libmoec: a policy handle from a bound policy. What runs at once, what is compiled in the background, what comes from
// disk.
#pragma once
#include <string>

#include "compiler/code_cache.h"
#include "ir/bind.h"
#include "moe/moe.h"

namespace moe::compiler {

struct CodeOptions {
  int opt_level = 2;
  bool wait = false;  ///< nothing is left to the background
};

/// What was compiled before. Two keys lead to an entry: all that the caller gave, which is known before anything is
/// parsed, and what the policy turned out to be, which a changed comment leaves alone. The first is for policies that
/// read no other file and have no findings.
class KnownCode {
 public:
  explicit KnownCode(int opt_level);
  /// Whether there is code for what the caller gave.
  bool find_given(const std::string& given, moe_policy** out_policy);
  /// Whether there is code for the policy. `only_given`: what find_given was asked for says it all.
  bool find_policy(const std::string& identity, bool only_given, moe_policy** out_policy);
  /// Keeps new code by all the keys it was not found by.
  void keep(const ir::BoundPolicy& bound, const std::string& object) const;
  bool on() const { return cache_.on(); }
  const std::string& problem() const { return cache_.problem(); }

 private:
  bool find(const std::string& key, moe_policy** out_policy) const;
  std::string key_of(const char* kind, const std::string& text) const;

  CodeCache cache_;
  int opt_level_;
  std::string by_given_;
  std::string by_policy_;
};

/// `known` has been asked and had none. Sets moe_last_error on failure, and on success too when there is something to
/// say about the cache.
moe_status make_policy(ir::BoundPolicy bound, KnownCode known, const CodeOptions& options, moe_policy** out_policy);

}  // namespace moe::compiler
