// SPDX-License-Identifier: Apache-2.0
// What bench-dispatch measures: a policy at a shape, and who decides it.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/contender.h"
#include "codegen/compiler.h"

namespace moe::bench {

/// ns per dispatch.
struct Times {
  double median = 0;
  double least = 0;
};

struct Row {
  std::string group;   ///< rules, policies, stdlib, limits
  std::string policy;  ///< the name of its file, or its eviction rule
  const Routing* routing = nullptr;
  std::unique_ptr<codegen::JitPolicy> jit;  ///< null: it is measured through the C ABI only
  decision::DispatchFn compiled = nullptr;  ///< the static kernel; null: none
  const Baseline* by_hand = nullptr;        ///< null: none
  Summary summary;                          ///< of `routing`, from a fresh state on
  std::optional<Times> jit_times, compiled_times, by_hand_times, python_times;
  double python_hit_rate = 0;

  /// "policies/lru_basic/27x64x6"
  std::string name() const { return group + "/" + policy + "/" + name_of(routing->shape); }
};

/// Routing that rows point to.
struct Routings {
  Routing rules;                  ///< 27x64x6
  std::vector<Routing> policies;  ///< the three shapes of 1.4.2's benchmark
  Routing stdlib;                 ///< 61x256x8
};
Routings make_routings();

struct Rows {
  std::vector<Row> rows;
  std::vector<std::string> left_out;  ///< "hobbit: `tiers`": no native code
};

/// All rows whose group is `only`, or all; compiled, and checked: whoever decides a row decides the same on its
/// routing. Errors: those of compiling; internal: somebody decided differently.
Result<Rows> make_rows(const Routings& routings, const std::string& only);

}  // namespace moe::bench
