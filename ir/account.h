// SPDX-License-Identifier: Apache-2.0
// What the reference interpreter notes of one dispatch when somebody asks why: who could have left, with which values,
// who was spared, and which step made each one leave. ir/explain_decision.h says it in sentences.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/bind.h"
#include "ir/decision.h"

namespace moe::ir {

/// What makes an expert leave, by the steps of docs/semantics.md.
enum class Cause : uint8_t {
  rules,      ///< rules that came into force with this dispatch have fewer slots
  dropped,    ///< step 0: the mechanism dropped its load, or it failed
  threshold,  ///< step 2: its share is below freq_threshold
  demand,     ///< step 3: its place went to a miss
  exemption,  ///< end of step 3: it was prefetched for this layer, and its share is below freq_threshold
  prefetch,   ///< step 4: its place went to a prefetch
  pressure,   ///< step 5: memory is above the threshold
  ttl,        ///< step 5: not used for so long
  tiers,      ///< end of the dispatch: a move between tiers
  rebalance,  ///< end of the dispatch: its layer has fewer slots now
  asked,      ///< end of the dispatch: a rule that fired triggers memory pressure
};
std::string_view to_word(Cause);

/// Why an expert that might have left did not.
enum class Spared : uint8_t { pinned, on_its_way, selected, as_probable };

/// A value that an expression is made of.
struct Term {
  std::string text;  ///< as the language writes it
  double value = 0;
};

/// One who may leave.
struct Contender {
  uint32_t key = 0;
  double value = 0;         ///< what the rule compares: see Choice::rule; NaN leaves first
  std::vector<Term> terms;  ///< of least(E): its summands where there are several, else what it reads
  std::string part;         ///< of a rule with queues: which of them
  std::string note;         ///< likewise: "visited", "2 hits", ...
};

/// One question who leaves next. Candidates are in the rule's order, first the one that leaves first; with queues, in
/// the order of the queues.
struct Choice {
  Cause cause = Cause::demand;
  EvictionRule rule;
  bool by_prefetch_rule = false;     ///< the rule is prefetch's `evict`
  std::optional<uint32_t> newcomer;  ///< who needs the place
  uint64_t accesses = 0;             ///< of the instance so far
  std::string standing;              ///< of a rule with queues: what else it goes by, such as arc's p
  std::vector<Contender> candidates;
  std::vector<std::pair<uint32_t, Spared>> spared;
  std::optional<uint32_t> victim;
};

struct Departure {
  uint32_t key = 0;
  Cause cause = Cause::demand;
  std::optional<size_t> choice;      ///< in DecisionAccount::choices; nullopt: nothing was chosen, a limit was passed
  std::optional<uint32_t> newcomer;  ///< who took the place
  double value = 0;                  ///< threshold: its share; ttl: accesses since its use; pressure: share of memory
};

/// Why a miss did not take a place, or a prefetch was not made.
enum class Refusal : uint8_t {
  admit_never,
  below_threshold,  ///< its share of the last accesses
  no_place,         ///< nobody may leave
  not_admitted,     ///< admit = when(E): E is false
  smallest_share,   ///< freq_threshold without protection: the newcomer itself would leave first
  over_budget,      ///< of prefetches: this and what follows
  beyond_top,
  improbable,  ///< below min_probability
  resident,    ///< there already
  selected,    ///< by this dispatch
  condition,   ///< `when` is false
};

/// How a miss came by its action.
enum class ActionReason : uint8_t {
  as_written,    ///< the schedule's only action
  arm,           ///< of `on miss`
  no_arm,        ///< none whose action is possible now
  cheaper,       ///< mode hybrid: the two times were compared
  balanced,      ///< mode balance gave it to that side
  not_possible,  ///< a load, but max_loads, deadline or a transfer under way forbid it
};

struct AccessAccount {
  uint32_t key = 0;
  ActionReason reason = ActionReason::as_written;  ///< of a miss
  uint32_t arm = 0;                                ///< place among the arms, from 0
  double load_ms = 0, cpu_ms = 0;                  ///< of `cheaper`
  std::optional<Refusal> refusal;                  ///< of a place
  double value = 0;                                ///< of a refusal by share
  std::vector<Term> terms;                         ///< of `not_admitted`: what the condition read
  std::optional<size_t> choice;                    ///< whom it would have replaced
};

struct PrefetchAccount {
  uint32_t key = 0;
  double predicted = 0;
  std::optional<Refusal> refusal;  ///< nullopt: it was fetched
  std::optional<uint32_t> replaced;
  std::vector<Term> terms;  ///< of a refusal by an expression
};

/// All of one dispatch.
struct DecisionAccount {
  uint32_t layer = 0;
  Phase phase = Phase::decode;
  std::string policy;                                 ///< in force
  std::optional<std::pair<uint32_t, uint32_t>> band;  ///< layers of the band in force
  std::vector<uint32_t> active_rules;                 ///< of `adapt`, before this dispatch
  BoundRules rules;                                   ///< in force
  uint32_t capacity = 0;                              ///< slots of the instance
  std::vector<uint32_t> resident;                     ///< in the instance, before the dispatch
  std::vector<AccessAccount> accesses;                ///< of misses
  std::vector<Choice> choices;
  std::vector<Departure> departures;
  std::optional<Strategy> predictor;        ///< the first of the chain that named anybody
  std::vector<PrefetchAccount> prefetches;  ///< candidates, in order
};

}  // namespace moe::ir
