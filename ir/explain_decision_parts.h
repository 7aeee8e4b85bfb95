// SPDX-License-Identifier: Apache-2.0
// Clauses about one decision: what the text and the JSON form share. Internal to ir/explain_decision*.cpp.
#pragma once
#include <string>

#include "ir/explain_decision.h"

namespace moe::ir::why {

/// A decision, and the policy that made it.
struct Story {
  const ExplainedDecision& explained;
  const BoundPolicy& policy;

  const DecisionAccount& account() const { return explained.account; }
  std::string name(uint32_t key) const;  ///< "[1,5]"
  /// Whose place `newcomer` took; nullopt: a free one, or none.
  std::optional<uint32_t> replaced_by(uint32_t newcomer) const;
  const AccessAccount* access_of(uint32_t key) const;
};

// Clauses: no capital, no period.
std::string of_access(const Story& story, const ExpertDecision& expert);
std::string of_departure(const Story& story, const Departure& departure);
std::string of_prefetch(const Story& story, const PrefetchAccount& prefetch);
std::string of_contender(const Story& story, const Choice& choice, const Contender& contender);
std::string of_spared(Spared why);
/// "`0.5 * freq` = 2, `recency` = 3"
std::string of_terms(const std::vector<Term>& terms);
/// What the choice goes by: "the least recently used expert leaves (`lru`)".
std::string of_rule(const Story& story, const Choice& choice);
/// "rule 2 fired: ..."
std::string of_rule_fired(const Story& story, uint32_t rule);
std::string number(double value);

}  // namespace moe::ir::why
