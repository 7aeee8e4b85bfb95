// SPDX-License-Identifier: Apache-2.0
#include "ir/explain_decision.h"

#include <fmt/format.h>

#include "ir/explain_decision_parts.h"
#include "ir/explain_parts.h"

namespace moe::ir {
namespace {

using plain::count;
using plain::sentence;

/// Writes the text, part by part.
class Writer {
 public:
  Writer(const why::Story& story, const DecisionFilter& filter) : story_(story), filter_(filter) {}

  std::string write() {
    head();
    experts();
    left();
    prefetches();
    rules();
    return std::move(text_);
  }

 private:
  bool wanted(uint32_t key) const { return !filter_.key || *filter_.key == key; }

  void head() {
    const ExplainedDecision& explained = story_.explained;
    const DecisionAccount& account = story_.account();
    text_ = fmt::format("Dispatch {}: ", explained.dispatch);
    if (explained.token) text_ += fmt::format("token {}, ", *explained.token);
    text_ +=
        fmt::format("layer {}, {}, {}\n", account.layer, to_word(account.phase), count(explained.num_tokens, "token"));
    line(0, fmt::format("In force: policy `{}`", account.policy) +
                (account.band ? fmt::format(", the band of layers {} to {}", account.band->first, account.band->second)
                              : "") +
                active_rules() + ".");
    line(0, fmt::format("The cache{} held {} in {} before it.",
                        story_.policy.scope == Scope::layer ? fmt::format(" of layer {}", account.layer) : "",
                        count(account.resident.size(), "expert"), count(account.capacity, "slot")));
  }

  std::string active_rules() const {
    std::vector<std::string> numbers;
    for (const uint32_t rule : story_.account().active_rules) numbers.push_back(fmt::format("{}", rule + 1));
    return numbers.empty() ? "" : fmt::format(", the active rules {}", plain::list(numbers));
  }

  void experts() {
    const Decision& decision = story_.explained.decision;
    const uint32_t first = story_.account().layer * story_.policy.shape.num_experts;
    for (const ExpertDecision& expert : decision.experts) {
      if (!wanted(first + expert.expert)) continue;
      title("Experts");
      line(1, fmt::format("{} {}: {}", story_.name(first + expert.expert), to_word(expert.action),
                          why::of_access(story_, expert)) +
                  ".");
    }
    for (const uint32_t expert : decision.dropped) {
      if (!wanted(first + expert)) continue;
      title("Experts");
      line(1, fmt::format("{} is left out: `drop` holds for it.", story_.name(first + expert)));
    }
  }

  void left() {
    for (const Departure& departure : story_.account().departures) {
      if (!wanted(departure.key)) continue;
      title("Left");
      line(1, fmt::format("{} left: {}.", story_.name(departure.key), why::of_departure(story_, departure)));
      if (departure.choice) choice(story_.account().choices[*departure.choice]);
    }
    // Who asked in vain is told of whom it would have replaced.
    for (const AccessAccount& access : story_.account().accesses) {
      if (!access.refusal || !access.choice || !wanted(access.key)) continue;
      title("Asked in vain");
      const Choice& asked = story_.account().choices[*access.choice];
      line(1, fmt::format("{} got no slot; asked who would leave for it: {}.", story_.name(access.key),
                          why::of_rule(story_, asked)));
      choice(asked);
    }
  }

  void choice(const Choice& choice) {
    if (!choice.standing.empty()) line(2, sentence(choice.standing));
    line(2, choice.candidates.empty() ? "Nobody could leave." : "Could leave, in order:");
    for (size_t i = 0; i < choice.candidates.size(); ++i) {
      const Contender& contender = choice.candidates[i];
      const bool chosen = choice.victim == contender.key;
      if (i >= filter_.most_candidates && !chosen) continue;
      line(3, fmt::format("{} {}{}", story_.name(contender.key), why::of_contender(story_, choice, contender),
                          chosen ? "  <- leaves" : ""));
    }
    if (choice.candidates.size() > filter_.most_candidates) {
      line(3, fmt::format("and {} more", choice.candidates.size() - filter_.most_candidates));
    }
    std::vector<std::string> spared;
    for (const auto& [key, reason] : choice.spared) {
      spared.push_back(fmt::format("{} {}", story_.name(key), why::of_spared(reason)));
    }
    if (!spared.empty()) line(2, fmt::format("Spared: {}.", fmt::join(spared, "; ")));
  }

  void prefetches() {
    const DecisionAccount& account = story_.account();
    for (const PrefetchAccount& prefetch : account.prefetches) {
      const bool mine = wanted(prefetch.key) || (prefetch.replaced && wanted(*prefetch.replaced));
      if (!mine) continue;
      title("Prefetches");
      line(1, fmt::format(
                  "{}, {} by `{}`: {}.", story_.name(prefetch.key), "predicted with " + why::number(prefetch.predicted),
                  account.predictor ? to_word(*account.predictor) : "none", why::of_prefetch(story_, prefetch)));
    }
  }

  void rules() {
    for (const uint32_t rule : story_.explained.decision.rules_fired) {
      title("Rules");
      line(1, sentence(why::of_rule_fired(story_, rule)));
    }
  }

  // Once, before its first line.
  void title(std::string_view name) {
    if (title_ == name) return;
    title_ = name;
    text_ += fmt::format("\n{}\n", name);
  }

  void line(int depth, const std::string& text) {
    text_.append(static_cast<size_t>(depth) * 2, ' ');
    text_ += text;
    text_ += '\n';
  }

  const why::Story story_;
  const DecisionFilter& filter_;
  std::string_view title_;
  std::string text_;
};

}  // namespace

std::string print_text(const ExplainedDecision& explained, const BoundPolicy& policy, const DecisionFilter& filter) {
  return Writer({explained, policy}, filter).write();
}

}  // namespace moe::ir
