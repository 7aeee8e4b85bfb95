// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <nlohmann/json.hpp>

#include "ir/explain_decision.h"
#include "ir/explain_decision_parts.h"
#include "ir/print_value.h"

namespace moe::ir {
namespace {

using Json = nlohmann::ordered_json;

/// JSON has no NaN and no infinity: they are words.
Json number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

/// Builds the object, part by part.
class Builder {
 public:
  Builder(const why::Story& story, const DecisionFilter& filter) : story_(story), filter_(filter) {}

  Json build() {
    const DecisionAccount& account = story_.account();
    Json out;
    out["dispatch"] = story_.explained.dispatch;
    if (story_.explained.token) out["token"] = *story_.explained.token;
    out["layer"] = account.layer;
    out["phase"] = to_word(account.phase);
    out["num_tokens"] = story_.explained.num_tokens;
    out["policy"] = account.policy;
    if (account.band) out["band"] = Json::array({account.band->first, account.band->second});
    if (!account.active_rules.empty()) out["active_rules"] = account.active_rules;
    out["capacity"] = account.capacity;
    out["resident"] = pairs(account.resident);
    out["experts"] = experts();
    out["left"] = left();
    if (account.predictor) out["predictor"] = to_word(*account.predictor);
    if (!account.prefetches.empty()) out["prefetches"] = prefetches();
    const Decision& decision = story_.explained.decision;
    if (!decision.rules_fired.empty()) out["rules_fired"] = decision.rules_fired;
    if (!decision.signals.empty()) out["signals"] = decision.signals;
    return out;
  }

 private:
  bool wanted(uint32_t key) const { return !filter_.key || *filter_.key == key; }

  Json pair(uint32_t key) const {
    const uint32_t num_experts = story_.policy.shape.num_experts;
    return Json::array({key / num_experts, key % num_experts});
  }
  Json pairs(const std::vector<uint32_t>& keys) const {
    Json out = Json::array();
    for (const uint32_t key : keys) out.push_back(pair(key));
    return out;
  }

  Json experts() const {
    Json out = Json::array();
    const uint32_t first = story_.account().layer * story_.policy.shape.num_experts;
    for (const ExpertDecision& expert : story_.explained.decision.experts) {
      const uint32_t key = first + expert.expert;
      if (!wanted(key)) continue;
      Json one = {{"expert", pair(key)}, {"action", to_word(expert.action)}, {"why", why::of_access(story_, expert)}};
      if (const std::optional<uint32_t> replaced = story_.replaced_by(key)) one["replaced"] = pair(*replaced);
      const AccessAccount* const access = story_.access_of(key);
      if (access != nullptr && access->refusal && access->choice) {
        add_choice(story_.account().choices[*access->choice], one);
      }
      out.push_back(std::move(one));
    }
    return out;
  }

  Json left() const {
    Json out = Json::array();
    for (const Departure& departure : story_.account().departures) {
      if (!wanted(departure.key)) continue;
      Json one = {{"expert", pair(departure.key)},
                  {"cause", to_word(departure.cause)},
                  {"why", why::of_departure(story_, departure)}};
      if (departure.newcomer) one["newcomer"] = pair(*departure.newcomer);
      if (departure.choice) add_choice(story_.account().choices[*departure.choice], one);
      out.push_back(std::move(one));
    }
    return out;
  }

  void add_choice(const Choice& choice, Json& out) const {
    out["rule"] = print(choice.rule);
    if (!choice.standing.empty()) out["standing"] = choice.standing;
    Json& candidates = out["candidates"] = Json::array();
    size_t more = 0;
    for (size_t i = 0; i < choice.candidates.size(); ++i) {
      if (i < filter_.most_candidates || choice.victim == choice.candidates[i].key) {
        candidates.push_back(contender(choice, choice.candidates[i]));
      } else {
        ++more;
      }
    }
    out["more"] = more;
    Json& spared = out["spared"] = Json::array();
    for (const auto& [key, reason] : choice.spared) {
      spared.push_back({{"expert", pair(key)}, {"why", why::of_spared(reason)}});
    }
  }

  Json contender(const Choice& choice, const Contender& contender) const {
    Json out = {{"expert", pair(contender.key)}, {"is", why::of_contender(story_, choice, contender)}};
    if (!contender.part.empty()) {
      out["queue"] = contender.part;
    } else if (choice.rule.kind != Eviction::random) {
      out["value"] = number(contender.value);
    }
    if (!contender.note.empty()) out["note"] = contender.note;
    for (const Term& term : contender.terms)
      out["terms"].push_back({{"term", term.text}, {"value", number(term.value)}});
    return out;
  }

  Json prefetches() const {
    Json out = Json::array();
    for (const PrefetchAccount& prefetch : story_.account().prefetches) {
      if (!wanted(prefetch.key) && !(prefetch.replaced && wanted(*prefetch.replaced))) continue;
      Json one = {{"expert", pair(prefetch.key)},
                  {"predicted", number(prefetch.predicted)},
                  {"fetched", !prefetch.refusal},
                  {"why", why::of_prefetch(story_, prefetch)}};
      if (prefetch.replaced) one["replaced"] = pair(*prefetch.replaced);
      out.push_back(std::move(one));
    }
    return out;
  }

  const why::Story story_;
  const DecisionFilter& filter_;
};

}  // namespace

std::string print_json(const ExplainedDecision& explained, const BoundPolicy& policy, const DecisionFilter& filter) {
  return Builder({explained, policy}, filter).build().dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace moe::ir
