// SPDX-License-Identifier: Apache-2.0
// Why one dispatch decided as it did, in plain sentences or as JSON.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "ir/account.h"

namespace moe::ir {

/// One dispatch, decided again by the reference interpreter with an account.
struct ExplainedDecision {
  uint64_t dispatch = 0;          ///< counted from 0
  std::optional<uint64_t> token;  ///< the first of its step, where a trace says so
  uint32_t num_tokens = 0;
  Decision decision;
  DecisionAccount account;
};

/// What an explanation is narrowed to; nothing: all of it.
struct DecisionFilter {
  std::optional<uint32_t> key;  ///< only what became of this expert
  size_t most_candidates = 8;   ///< of each choice, so many are listed
};

/// Sentences under titles, with experts written [layer, expert]. `policy` is the one that decided.
std::string print_text(const ExplainedDecision& explained, const BoundPolicy& policy, const DecisionFilter& filter);

/// One object:
///
///     {"dispatch", "token", "layer", "phase", "num_tokens", "policy", "band", "active_rules", "capacity", "resident",
///      "experts": [{"expert", "action", "why", "replaced"}],
///      "left": [{"expert", "cause", "newcomer", "why", "rule", "candidates": [{"expert", "value", "terms", "queue",
///                "note"}], "more", "spared": [{"expert", "why"}]}],
///      "predictor", "prefetches": [{"expert", "predicted", "fetched", "why", "replaced"}],
///      "rules_fired", "signals"}
///
/// Experts are pairs [layer, expert]; "why" is a sentence; what there is nothing to say of is left out.
std::string print_json(const ExplainedDecision& explained, const BoundPolicy& policy, const DecisionFilter& filter);

}  // namespace moe::ir
