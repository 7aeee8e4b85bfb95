// SPDX-License-Identifier: Apache-2.0
// A failing case made small, so that a person sees what matters in it.
#pragma once
#include <chrono>
#include <functional>

#include "tests/decision/case.h"

namespace moe::test {

/// Whether a case fails in the way that is looked for. It must say no to a case whose policies do not bind.
using Fails = std::function<bool(const Case&)>;

struct ShrinkLimits {
  std::chrono::milliseconds time{60'000};  ///< no further try begins after that
};

/// The smallest case that was found to fail, `failing` itself at worst: it leaves out steps, then policies, statements
/// of their text one at a time, what comes with a dispatch, layers, experts and selections, over and over until nothing
/// can go or the time is up. Of what remains, leaving out any one thing makes the case hold (1-minimal; A. Zeller, R.
/// Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE Transactions on Software Engineering 28(2),
/// 2002), if there was time for all.
Case shrink(Case failing, const Fails& fails, const ShrinkLimits& limits = {});

/// The statements of a policy file, each by the lines of the laid out text that it takes: blocks before what is in
/// them.
struct Statements {
  std::vector<std::string> lines;
  std::vector<std::pair<size_t, size_t>> spans;  ///< half-open
  std::string without(size_t statement) const;
};
Statements statements_of(const std::string& source);

/// The case over fewer layers, experts or selections: what is not there any more goes.
Case with_shape(const Case& of, const ir::ModelShape& shape);

/// The case over top-1: each selection is a token of its own, so that any of them can go. Accesses stay as they are.
Case with_single_selections(const Case& of);

}  // namespace moe::test
