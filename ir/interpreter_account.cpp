// SPDX-License-Identifier: Apache-2.0
// What is noted while a dispatch is explained. Reads the state, changes nothing of it.
#include <algorithm>
#include <cmath>

#include "ir/environment.h"
#include "ir/expr_parts.h"
#include "ir/interpreter.h"

namespace moe::ir {

std::string_view to_word(Cause cause) {
  switch (cause) {
    case Cause::rules:
      return "rules";
    case Cause::dropped:
      return "dropped";
    case Cause::threshold:
      return "threshold";
    case Cause::demand:
      return "demand";
    case Cause::exemption:
      return "exemption";
    case Cause::prefetch:
      return "prefetch";
    case Cause::pressure:
      return "pressure";
    case Cause::ttl:
      return "ttl";
    case Cause::tiers:
      return "tiers";
    case Cause::rebalance:
      return "rebalance";
    case Cause::asked:
      return "asked";
  }
  return "";
}

void Interpreter::note_begin(const Context& context) {
  DecisionAccount& account = *account_;
  account.layer = context.layer;
  account.phase = context.input->phase;
  account.policy = policy_in_force();
  account.rules = *context.rules;
  if (const Band* band = policy_.source ? policy_.source->band_of(context.layer) : nullptr) {
    account.band = {band->first, band->last};
  }
  for (size_t i = 0; i < rule_states_.size(); ++i) {
    if (rule_states_[i].active) account.active_rules.push_back(static_cast<uint32_t>(i));
  }
  const Instance& instance = instance_of_layer(context.layer);
  account.capacity = policy_.per_layer ? instance.capacity : context.rules->capacity;
  for (const auto& [key, state] : instance.residents) account.resident.push_back(key);
}

std::vector<Term> Interpreter::terms_of(const Expr& expr, uint32_t key, std::optional<uint32_t> victim,
                                        Context& context) {
  std::vector<Expr> parts = summands(expr);
  if (parts.size() < 2) parts = inputs(expr);
  ExpertEnvironment environment(*this, context, instance_of_key(key), key);
  environment.set_victim(victim);
  std::vector<Term> terms;
  for (const Expr& part : parts) terms.push_back({print_expr(part), evaluate(part, environment)});
  return terms;
}

// In the order in which they would leave.
std::vector<Contender> Interpreter::contenders(const EvictionRule& rule, const Instance& instance,
                                               const Keys& candidates, Context& context) {
  std::vector<Contender> out;
  for (const uint32_t key : candidates) {
    const Resident& state = instance.residents.at(key);
    Contender contender;
    contender.key = key;
    ExpertEnvironment environment(*this, context, instance, key);
    switch (rule.kind) {
      case Eviction::lru:
        contender.value = static_cast<double>(state.last_use);
        break;
      case Eviction::lfu:
        contender.value = state.freq;
        break;
      case Eviction::score:
        contender.value = state.ema;
        break;
      case Eviction::freq_threshold:
        contender.value = share(instance, key);
        break;
      case Eviction::belady:
        contender.value = environment.variable(Variable::next_use, false);
        break;
      case Eviction::least:
        contender.value = evaluate(rule.value, environment);
        contender.terms = terms_of(rule.value, key, std::nullopt, context);
        break;
      default:  // fifo; random has no order
        contender.value = static_cast<double>(state.load_number);
        break;
    }
    out.push_back(std::move(contender));
  }
  if (rule.kind == Eviction::random) return out;
  std::sort(out.begin(), out.end(), [&](const Contender& a, const Contender& b) {
    return goes_before(rule, instance, a.key, b.key, a.value, b.value);
  });
  return out;
}

std::optional<uint32_t> Interpreter::note_choice(const EvictionRule& rule, Instance& instance, uint8_t segment,
                                                 uint32_t newcomer, const MayLeave& may_leave, Context& context) {
  Choice choice;
  choice.cause = context.cause;
  choice.rule = rule;
  choice.by_prefetch_rule = &rule != &rule_of(instance, segment);
  if (newcomer != policy_.num_keys()) choice.newcomer = newcomer;
  choice.accesses = instance.accesses;
  Keys candidates;
  for (const auto& [key, state] : instance.residents) {
    if (state.segment != segment) continue;
    if (may_leave(key)) {
      candidates.push_back(key);
    } else if (state.pinned) {
      choice.spared.emplace_back(key, Spared::pinned);
    } else if (context.selected.contains(key)) {
      choice.spared.emplace_back(key, Spared::selected);
    } else {
      choice.spared.emplace_back(key, is_here(instance, key) ? Spared::as_probable : Spared::on_its_way);
    }
  }
  const QueueRule* const queues = choice.by_prefetch_rule ? nullptr : instance.order[segment].get();
  if (queues == nullptr) {
    choice.candidates = contenders(rule, instance, candidates, context);
  } else {  // before victim(), which may rearrange them
    choice.standing = queues->standing();
    for (const QueueRule::Member& member : queues->members()) {
      const bool may = std::find(candidates.begin(), candidates.end(), member.key) != candidates.end();
      if (may) choice.candidates.push_back({member.key, 0, {}, std::string(member.queue), member.note});
    }
  }
  choice.victim = pick_victim(rule, instance, segment, newcomer, may_leave, context);
  account_->choices.push_back(choice);
  return choice.victim;
}

void Interpreter::note_departure(uint32_t key, const Context& context) {
  Departure departure;
  departure.key = key;
  departure.cause = context.cause;
  const Instance& instance = instance_of_key(key);
  switch (context.cause) {
    case Cause::threshold:
    case Cause::exemption:
      departure.value = share(instance, key);
      break;
    case Cause::ttl:
      departure.value = static_cast<double>(instance.accesses - instance.residents.at(key).last_use);
      break;
    case Cause::pressure:
    case Cause::asked:
      departure.value = memory_used(*context.rules);
      break;
    default:
      break;
  }
  // Nobody is chosen where a limit is passed; else the last choice of this step named it.
  const bool by_limit = context.cause == Cause::threshold || context.cause == Cause::exemption ||
                        context.cause == Cause::ttl || context.cause == Cause::dropped;
  for (size_t i = account_->choices.size(); !by_limit && i-- > 0;) {
    const Choice& choice = account_->choices[i];
    if (choice.victim != key || choice.cause != context.cause) continue;
    departure.choice = i;
    // What b's victim makes place for in a | b is a's, which makes place for the newcomer before it.
    const bool demotes = choice.newcomer && i > 0 && account_->choices[i - 1].victim == choice.newcomer;
    departure.newcomer = demotes ? account_->choices[i - 1].newcomer : choice.newcomer;
    break;
  }
  account_->departures.push_back(departure);
}

// The last word on a miss counts: max_loads may ask again.
void Interpreter::note_action(uint32_t key, ActionReason reason, const Context& context, uint32_t arm) {
  if (account_ == nullptr) return;
  std::vector<AccessAccount>& accesses = account_->accesses;
  auto found = std::find_if(accesses.begin(), accesses.end(), [&](const auto& access) { return access.key == key; });
  if (found == accesses.end()) found = accesses.insert(accesses.end(), AccessAccount{});
  found->key = key;
  found->reason = reason;
  found->arm = arm;
  if (reason != ActionReason::cheaper) return;
  found->load_ms = load_ms(context, context.loads_chosen);
  found->cpu_ms = cpu_ms(context, context.access.at(key)->num_selections);
}

bool Interpreter::refused(uint32_t key, Refusal why, const Place& place, Context& context) {
  if (account_ == nullptr) return false;
  std::vector<AccessAccount>& accesses = account_->accesses;
  auto found = std::find_if(accesses.begin(), accesses.end(), [&](const auto& access) { return access.key == key; });
  if (found == accesses.end()) {  // of the side buffer: a hit
    found = accesses.insert(accesses.end(), AccessAccount{});
    found->key = key;
  }
  found->refusal = why;
  if (why == Refusal::below_threshold || why == Refusal::smallest_share) {
    found->value = share(instance_of_key(key), key);
  }
  if (why == Refusal::not_admitted) {
    found->terms = terms_of(context.rules->admit.condition, key, place.leaver, context);
  }
  const bool asked = why == Refusal::no_place || place.leaver;
  if (asked && !account_->choices.empty()) found->choice = account_->choices.size() - 1;
  return false;
}

void Interpreter::note_prefetch(const Candidate& candidate, std::optional<Refusal> why, const Place& place,
                                Context& context) {
  if (account_ == nullptr) return;
  PrefetchAccount prefetch;
  prefetch.key = key_of(candidate.layer, candidate.expert);
  prefetch.predicted = candidate.predicted;
  prefetch.refusal = why;
  prefetch.replaced = place.leaver;
  const BoundRules& rules = *context.rules;
  if (why == Refusal::condition) prefetch.terms = terms_of(rules.prefetch_when, prefetch.key, std::nullopt, context);
  if (why == Refusal::not_admitted) {
    prefetch.terms = terms_of(rules.prefetch_admit.condition, prefetch.key, place.leaver, context);
  }
  account_->prefetches.push_back(std::move(prefetch));
}

}  // namespace moe::ir
