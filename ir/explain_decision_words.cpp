// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/explain_decision_parts.h"
#include "ir/explain_parts.h"
#include "ir/print_value.h"

namespace moe::ir::why {
namespace {

using plain::code;
using plain::count;
using plain::share;

CacheRule cache_of(const BoundRules& rules) {
  CacheRule cache;
  cache.eviction.value = rules.eviction;
  cache.frequency_decay.value = rules.frequency_decay;
  cache.decay_interval.value = rules.decay_interval;
  cache.score_ema_alpha.value = rules.score_ema_alpha;
  cache.freq_threshold.value = rules.freq_threshold;
  cache.freq_window.value = rules.freq_window;
  return cache;
}

std::string with_terms(const std::vector<Term>& terms) { return terms.empty() ? "" : " (" + of_terms(terms) + ")"; }

std::string of_refusal(const BoundRules& rules, const AccessAccount& access) {
  switch (*access.refusal) {
    case Refusal::admit_never:
      return "nobody is admitted (`admit = never`)";
    case Refusal::below_threshold:
      return fmt::format("its share of the last accesses is {}, below the threshold of {}", share(access.value),
                         share(rules.freq_threshold));
    case Refusal::not_admitted:
      return fmt::format("`admit = {}` is false for it{}", print(rules.admit), with_terms(access.terms));
    case Refusal::smallest_share:
      return fmt::format("its own share of the last accesses, {}, is smaller than that of whoever would leave",
                         share(access.value));
    default:
      return "no slot is free and nobody may leave";
  }
}

/// Why the miss has the action that it has.
std::string of_reason(const Story& story, const AccessAccount& access) {
  const BoundRules& rules = story.account().rules;
  switch (access.reason) {
    case ActionReason::arm:
      return fmt::format("{} says so", code(print(rules.arms[access.arm])));
    case ActionReason::no_arm:
      return "no action of `on miss` that applies is possible now";
    case ActionReason::cheaper:
      return fmt::format("a load would take {}, the host {}", plain::time(access.load_ms), plain::time(access.cpu_ms));
    case ActionReason::balanced:
      return "mode `balance` gave it to that side";
    case ActionReason::not_possible:
      return "a load is not possible now: `max_loads`, `deadline` or a transfer under way forbids it";
    case ActionReason::as_written:
      break;
  }
  return plain::action(rules.miss);
}

std::string of_place(const Story& story, uint32_t key) {
  const std::optional<uint32_t> replaced = story.replaced_by(key);
  return replaced ? fmt::format("it takes the place of {}", story.name(*replaced)) : "a slot was free";
}

}  // namespace

std::string number(double value) { return fmt::format("{:.6g}", value + 0.0); }  // -0 is 0

std::string Story::name(uint32_t key) const {
  return fmt::format("[{},{}]", key / policy.shape.num_experts, key % policy.shape.num_experts);
}

std::optional<uint32_t> Story::replaced_by(uint32_t newcomer) const {
  for (const Departure& departure : account().departures) {
    if (departure.newcomer == newcomer) return departure.key;
  }
  return std::nullopt;
}

const AccessAccount* Story::access_of(uint32_t key) const {
  const std::vector<AccessAccount>& all = account().accesses;
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& access) { return access.key == key; });
  return found == all.end() ? nullptr : &*found;
}

std::string of_terms(const std::vector<Term>& terms) {
  std::vector<std::string> items;
  for (const Term& term : terms) items.push_back(fmt::format("{} = {}", code(term.text), number(term.value)));
  return fmt::format("{}", fmt::join(items, ", "));
}

std::string of_access(const Story& story, const ExpertDecision& expert) {
  const uint32_t key = story.account().layer * story.policy.shape.num_experts + expert.expert;
  const std::vector<uint32_t>& resident = story.account().resident;
  if (expert.action == Action::hit) {
    const bool was_there = std::find(resident.begin(), resident.end(), key) != resident.end();
    return was_there ? "it was resident" : "a prefetch had brought it into the side buffer";
  }
  const AccessAccount* const access = story.access_of(key);
  if (access == nullptr) return "it was not resident";
  const std::string reason = of_reason(story, *access);
  if (access->refusal) {
    return fmt::format("it was not resident; {}; it gets no slot: {}", reason,
                       of_refusal(story.account().rules, *access));
  }
  switch (expert.action) {
    case Action::load:
    case Action::cpu_load:
    case Action::degrade:
      return fmt::format("it was not resident; {}; {}", reason, of_place(story, key));
    default:
      return fmt::format("it was not resident; {}", reason);
  }
}

std::string of_rule(const Story& story, const Choice& choice) {
  const std::string who = plain::leaver(choice.rule, cache_of(story.account().rules));
  return choice.by_prefetch_rule ? "of prefetch's own rule, " + who : who;
}

std::string of_departure(const Story& story, const Departure& departure) {
  const DecisionAccount& account = story.account();
  const BoundRules& rules = account.rules;
  std::string by;
  if (departure.choice) by = ": " + of_rule(story, account.choices[*departure.choice]);
  const std::string newcomer = departure.newcomer ? story.name(*departure.newcomer) : "a newcomer";
  switch (departure.cause) {
    case Cause::rules:
      return fmt::format("the rules that come into force with this dispatch have {}{}", count(rules.capacity, "slot"),
                         by);
    case Cause::dropped:
      return "its transfer failed or was cancelled before this dispatch, so it is not there";
    case Cause::threshold:
      return fmt::format("its share of the last accesses fell to {}, below the threshold of {}", share(departure.value),
                         share(rules.freq_threshold));
    case Cause::exemption:
      return fmt::format(
          "it was prefetched for this layer, which has run; its share of the last accesses is {}, below "
          "the threshold of {}",
          share(departure.value), share(rules.freq_threshold));
    case Cause::demand:
      return fmt::format("to make place for {}, a miss{}", newcomer, by);
    case Cause::prefetch:
      return fmt::format("to make place for {}, a prefetch{}", newcomer, by);
    case Cause::pressure:
      return fmt::format("memory was at {} of its budget, the threshold is {}; experts leave down to {}{}",
                         share(departure.value), share(rules.memory_threshold), share(rules.memory_headroom), by);
    case Cause::asked:
      return fmt::format("a rule that fired triggers memory pressure, memory was at {}; experts leave down to {}{}",
                         share(departure.value), share(rules.memory_headroom), by);
    case Cause::ttl:
      return fmt::format("it was not used for {} of its cache, `ttl` is {}",
                         count(static_cast<uint64_t>(departure.value), "access"), rules.ttl);
    case Cause::tiers:
      return "a move between the tiers takes its slot" + by;
    case Cause::rebalance:
      return "`per_layer` gives its layer fewer slots from now on" + by;
  }
  return by;
}

std::string of_contender(const Story&, const Choice& choice, const Contender& contender) {
  switch (choice.rule.kind) {
    case Eviction::lru:
      return fmt::format("last used {} ago", count(choice.accesses - static_cast<uint64_t>(contender.value), "access"));
    case Eviction::lfu:
      return fmt::format("count {}", number(contender.value));
    case Eviction::score:
      return fmt::format("average weight {}", number(contender.value));
    case Eviction::freq_threshold:
      return fmt::format("share {}", share(contender.value));
    case Eviction::fifo:
      return fmt::format("load number {}", number(contender.value));
    case Eviction::belady:
      return std::isinf(contender.value)
                 ? "never used again"
                 : fmt::format("used again in {}", count(static_cast<uint64_t>(contender.value), "access"));
    case Eviction::least:
      return fmt::format("{}{}", number(contender.value), with_terms(contender.terms));
    case Eviction::random:
      return "by lot";
    default:
      return contender.note.empty() ? contender.part : contender.part + ", " + contender.note;
  }
}

std::string of_spared(Spared why) {
  switch (why) {
    case Spared::pinned:
      return "pinned";
    case Spared::on_its_way:
      return "its load is still under way";
    case Spared::selected:
      return "needed by this dispatch";
    case Spared::as_probable:
      break;
  }
  return "predicted to be needed as much as the newcomer";
}

std::string of_prefetch(const Story& story, const PrefetchAccount& prefetch) {
  const BoundRules& rules = story.account().rules;
  if (!prefetch.refusal) {
    if (rules.side_buffer) return "fetched into the side buffer";
    return prefetch.replaced ? fmt::format("fetched, in the place of {}", story.name(*prefetch.replaced))
                             : "fetched into a free slot";
  }
  switch (*prefetch.refusal) {
    case Refusal::over_budget:
      return fmt::format("not fetched, nor are those after it: the budget is {}", count(rules.budget, "expert"));
    case Refusal::beyond_top:
      return fmt::format("not fetched: only the first {} of each layer count (`top`)", rules.top);
    case Refusal::improbable:
      return fmt::format("not fetched: below `min_probability`, {}", number(rules.min_probability));
    case Refusal::resident:
      return "not fetched: it is there already";
    case Refusal::selected:
      return "not fetched: this dispatch has it";
    case Refusal::condition:
      return fmt::format("not fetched: prefetch's `when` is false{}", with_terms(prefetch.terms));
    case Refusal::not_admitted:
      return fmt::format("not fetched: `admit = {}` is false for it{}", print(rules.prefetch_admit),
                         with_terms(prefetch.terms));
    default:
      return "not fetched: no slot is free and nobody may leave for it";
  }
}

std::string of_rule_fired(const Story& story, uint32_t rule) {
  const AdaptRule& fired = story.policy.adapt[rule];
  std::vector<std::string> actions;
  for (const RuleAction& action : fired.actions) actions.push_back(code(print(action)));
  return fmt::format("rule {} fires: {} held long enough, so {}", rule + 1, code(fired.condition),
                     plain::list(actions));
}

}  // namespace moe::ir::why
