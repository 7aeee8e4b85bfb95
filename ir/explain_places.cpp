// SPDX-License-Identifier: Apache-2.0
// Tiers and their moves, the learner, the monitor.
#include <fmt/format.h>

#include "ir/explain_parts.h"

namespace moe::ir::plain {
namespace {

std::string_view place(Location location) {
  switch (location) {
    case Location::gpu:
      return "on the accelerator";
    case Location::host:
      return "in host memory";
    case Location::disk:
      break;
  }
  return "on disk";
}

std::string tier_sentence(const Tier& tier, bool is_first) {
  std::string text =
      fmt::format("`{}` is {}{}", tier.name.value, place(tier.location.value), is_first ? " and is the cache" : "");
  if (tier.capacity) {
    const Capacity& capacity = tier.capacity->value;
    const bool is_share = capacity.kind == Capacity::Kind::ratio;
    text += "; it holds " + (is_share ? share(capacity.ratio) + " of the experts" : held(capacity, Scope::global));
  }
  if (tier.dtype.value != Dtype::as_stored) {
    text += fmt::format("; weights are {} there", to_word(tier.dtype.value));
    const bool in_groups = tier.dtype.value >= Dtype::int8;
    if (in_groups) text += fmt::format(", in groups of {}", tier.group_size.value);
  }
  if (!tier.path.value.empty()) text += fmt::format("; it is the file or folder `{}`", tier.path.value);
  return sentence(text);
}

std::string move_sentence(const Move& move) {
  if (move.condition.empty()) {
    return sentence(fmt::format("what leaves `{}` goes to `{}`", move.from.value, move.to.value));
  }
  return sentence(fmt::format("an expert of the dispatch is {} from `{}` to `{}` if {}",
                              move.promote ? "copied" : "moved", move.from.value, move.to.value, code(move.condition)));
}

}  // namespace

Sentences tiers(const TiersRule& tiers) {
  Sentences out;
  for (size_t i = 0; i < tiers.tiers.size(); ++i) out.push_back(tier_sentence(tiers.tiers[i], i == 0));
  if (tiers.tiers.size() > 1) {
    out.push_back(tiers.inclusive.value
                      ? "A load comes from the fastest tier that has the expert, which keeps its copy."
                      : "A load comes from the fastest tier that has the expert, which gives it away.");
  }
  for (const Move& move : tiers.moves) out.push_back(move_sentence(move));
  if (tiers.eviction) {
    out.push_back(sentence("in the tiers below the first, " + leaver(tiers.eviction->value, CacheRule{})));
  }
  if (tiers.direct.value) out.push_back("Disk is read straight into the accelerator's memory, past the host's.");
  if (tiers.precision) {
    const Ladder& ladder = tiers.precision->value;
    std::vector<std::string> rungs;
    for (size_t i = 0; i < ladder.rungs.size(); ++i) {
      const std::string word(to_word(ladder.rungs[i].dtype));
      rungs.push_back(i + 1 < ladder.rungs.size()
                          ? fmt::format("{} from {} on", word, print_number(ladder.rungs[i].at_least))
                          : fmt::format("{} below", word));
    }
    out.push_back(sentence(fmt::format("precision goes by {}: {}", code(ladder.by), list(rungs))));
  }
  return out;
}

Sentences learns(const Policy& policy) {
  if (!policy.learn) return {};
  const LearnRule& learn = *policy.learn;
  Sentences out{sentence(fmt::format(
      "from the last {} of any layer a model learns how soon each expert is used again (`value`; a use one dispatch "
      "later counts {})",
      count(learn.window.value, "dispatch"), share(learn.discount.value)))};
  const std::string start =
      learn.profile.value.empty() ? "from nothing" : fmt::format("from the profile `{}`", learn.profile.value);
  out.push_back(sentence(learn.freeze.value
                             ? fmt::format("it starts {} and is not trained further", start)
                             : fmt::format("it starts {} and is trained at every dispatch, at a rate of {}", start,
                                           print_number(learn.rate.value))));
  return out;
}

Sentences measured(const Policy& policy) {
  if (!policy.monitor) return {};
  std::vector<std::string> names;
  for (const Sourced<std::string>& metric : policy.monitor->metrics) names.push_back(fmt::format("`{}`", metric.value));
  return {sentence(fmt::format("{} over the last {}, reported every {}", list(names),
                               count(policy.monitor->window.value, "dispatch"), policy.monitor->log_interval.value))};
}

Sentences settable(const Policy& policy) {
  Sentences out;
  for (const Param& param : policy.params) {
    const std::string domain = param.domain.empty() ? "" : fmt::format(", of {}", code(param.domain));
    out.push_back(
        sentence(fmt::format("`{}` is {}{} (`--set {}=VALUE`)", param.name, code(param.value), domain, param.name)));
  }
  return out;
}

}  // namespace moe::ir::plain
