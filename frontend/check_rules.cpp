// SPDX-License-Identifier: Apache-2.0
// Rules about two or three keys that only make sense together: in the base, in every band and phase, and in a band
// while in a phase.
#include <algorithm>

#include "frontend/in_force.h"
#include "frontend/lower.h"
#include "frontend/together.h"

namespace moe::frontend {
namespace {

// Overrides say what they imply, in order of key.
void add_defaults(const Facts& base, bool fetches, std::vector<ir::Assignment>& overrides) {
  append_defaults(base, fetches, overrides);
  std::stable_sort(overrides.begin(), overrides.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
}

}  // namespace

void check_rules_together(ir::Policy& policy, ir::Diagnostics& diagnostics) {
  adapt_defaults(policy);
  const Facts base = facts_of(policy);
  const bool fetches = find_in_force(policy).asks_any();
  for (ir::Band& band : policy.bands) add_defaults(base, fetches, band.overrides);
  for (ir::PhaseRule& phase : policy.phases) add_defaults(base, fetches, phase.overrides);
  Judge judge(diagnostics);
  judge.judge(base);
  for (const ir::PhaseRule& phase : policy.phases) {
    Facts facts = base;
    facts.apply(phase.overrides);
    judge.judge(facts);
  }
  for (const ir::Band& band : policy.bands) {
    Facts facts = base;
    facts.apply(band.overrides);
    judge.judge(facts);
    for (const ir::PhaseRule& phase : policy.phases) {
      Facts both = facts;
      both.apply(phase.overrides);
      judge.judge(both);
    }
  }
}

}  // namespace moe::frontend
