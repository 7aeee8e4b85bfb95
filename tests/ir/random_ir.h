// SPDX-License-Identifier: Apache-2.0
// Random policies with every construct of the language, as the frontend builds them from their canonical text.
#pragma once
#include <random>

#include "ir/policy.h"
#include "tests/ir/policies.h"

namespace moe::ir::test {

/// Where an expression stands; the later see what the earlier see.
enum class ExprSite : uint8_t { whole_cache, prefetch, miss, expert, admit };

/// Draws expressions: well-typed, nothing constant left to compute.
class RandomExpr {
 public:
  explicit RandomExpr(std::mt19937_64& random) : random_(random) {}
  bool with_learn = false;  ///< whether `value` may be read

  Expr condition(ExprSite site, int depth = 3) { return node(Type::boolean, site, depth); }
  /// A number, ratio, time or size that changes at run time.
  Expr quantity(ExprSite site, int depth = 3);
  Expr node(Type type, ExprSite site, int depth);

 private:
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }
  Expr literal(Type type);
  Expr leaf(Type type, ExprSite site);
  Expr variable(Type type, ExprSite site);
  Expr history(Type type);
  Expr boolean(ExprSite site, int depth);
  Expr arithmetic(Type type, ExprSite site, int depth);
  Expr function(ExprSite site, int depth);
  Expr operand(Type type, ExprSite site, int depth);  ///< may be a literal

  std::mt19937_64& random_;
};

/// Draws valid policies: verify() finds nothing, the frontend accepts what print_text makes of them, and reading it
/// back gives an equal policy. So every number is one that a text can say, and combinations that the language forbids
/// do not come up. The seed determines everything.
class RandomIr {
 public:
  explicit RandomIr(uint64_t seed) : random_(seed), exprs_(random_) {}
  /// A policy `p` with at most two alternatives.
  Policy policy();

 private:
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }
  bool flip() { return below(2) != 0; }
  double share();  ///< (0, 1], sometimes with all 53 bits, sometimes round
  template <class T>
  T pick(std::initializer_list<T> values) {
    return *(values.begin() + below(static_cast<uint32_t>(values.size())));
  }

  Capacity capacity();
  EvictionRule eviction(bool may_be_segmented);
  AdmitRule admit(bool may_be_never);
  StrategyChain chain();
  std::vector<Sourced<Pin>> pins();
  std::vector<Arm> arms();
  void cache(CacheRule& rule);
  void prefetch(PrefetchRule& rule);
  void schedule(ScheduleRule& rule);
  MonitorRule monitor();
  LearnRule learn();
  PerLayerRule per_layer();
  TiersRule tiers();
  MemoryRule memory();
  KeyValue value_of(Key key);
  std::vector<Assignment> overrides();  ///< ascending keys
  RuleAction action();
  AdaptRule rule();
  void bands(Policy& policy);
  void phases(Policy& policy);
  void adapt(Policy& policy);
  Policy plain(const std::string& name);

  std::mt19937_64 random_;
  RandomExpr exprs_;
};

}  // namespace moe::ir::test
