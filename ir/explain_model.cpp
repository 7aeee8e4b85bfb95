// SPDX-License-Identifier: Apache-2.0
// What a policy takes on a model: slots, bytes, tables.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "ir/bind_capacity.h"
#include "ir/explain_parts.h"
#include "ir/predictor.h"
#include "ir/visit.h"

namespace moe::ir::plain {
namespace {

std::string model_sentence(const ModelShape& shape) {
  std::string text = fmt::format("the model has {} of {}, {} a token", count(shape.num_layers, "layer"),
                                 count(shape.num_experts, "expert"), shape.top_k);
  const uint64_t all = uint64_t{shape.num_layers} * shape.num_experts;
  if (shape.expert_bytes != 0) {
    const auto bytes = static_cast<double>(shape.expert_bytes);
    text += fmt::format("; one takes {}, all take {}", size(bytes), size(bytes * static_cast<double>(all)));
  }
  return sentence(text);
}

// "8 in layers 0 to 3, 4 in layers 4 to 26"
std::string by_layer(const BoundPolicy& policy) {
  constexpr size_t kMostRuns = 12;
  const std::vector<uint32_t> sizes = [&] {
    std::vector<uint32_t> out;
    for (uint32_t layer = 0; layer < policy.shape.num_layers; ++layer) out.push_back(policy.capacity_of(layer));
    return out;
  }();
  std::vector<std::string> runs;
  for (size_t first = 0; first < sizes.size();) {
    size_t last = first;
    while (last + 1 < sizes.size() && sizes[last + 1] == sizes[first]) ++last;
    if (runs.size() == kMostRuns) {
      const auto [least, most] = std::minmax_element(sizes.begin() + static_cast<ptrdiff_t>(first), sizes.end());
      runs.push_back(fmt::format("{} to {} in layers {} to {}", *least, *most, first, sizes.size() - 1));
      break;
    }
    runs.push_back(first == last ? fmt::format("{} in layer {}", sizes[first], first)
                                 : fmt::format("{} in layers {} to {}", sizes[first], first, last));
    first = last + 1;
  }
  return list(runs);
}

void slots(const BoundPolicy& policy, Sentences& out) {
  const uint64_t slots = policy.total_capacity();
  const std::string part = share(static_cast<double>(slots) / policy.num_keys());
  const std::string has = count(slots, "slot");
  const bool moves = policy.per_layer && policy.per_layer->capacities.value.empty();
  if (policy.scope == Scope::layer && policy.shape.num_layers > 1) {
    const bool alike = slots == uint64_t{policy.capacity_of(0)} * policy.shape.num_layers;
    bool same = alike;
    for (uint32_t layer = 1; same && layer < policy.shape.num_layers; ++layer) {
      same = policy.capacity_of(layer) == policy.capacity_of(0);
    }
    const std::string where = same ? fmt::format("{} in each layer", policy.capacity_of(0)) : by_layer(policy);
    out.push_back(sentence(
        fmt::format("the cache has {}{}, {}: {} of all experts fit", has, moves ? " at first" : "", where, part)));
  } else {
    out.push_back(sentence(fmt::format("the cache has {}: {} of all experts fit", has, part)));
  }
  const uint32_t streaming = policy.options.streaming_slots;
  std::string memory = fmt::format("with {} for experts that only pass through", count(streaming, "slot"));
  if (policy.shape.expert_bytes != 0) {
    memory += fmt::format(" that is {} of fast memory", size(static_cast<double>(slots + streaming) *
                                                             static_cast<double>(policy.shape.expert_bytes)));
  } else {
    memory += fmt::format(" that is {}; the model's shape does not say how large an expert is",
                          count(slots + streaming, "slot"));
  }
  out.push_back(sentence(memory));
}

// A shape says how large an expert is, not in which precision it is stored: taken as 16 bits a weight.
void other_tiers(const BoundPolicy& policy, Sentences& out) {
  if (policy.source == nullptr || !policy.source->tiers) return;
  const std::vector<Tier>& tiers = policy.source->tiers->tiers;
  for (size_t i = 1; i < tiers.size(); ++i) {
    const Tier& tier = tiers[i];
    if (tier.location.value != Location::gpu) continue;
    const bool converted = tier.dtype.value != Dtype::as_stored;
    const std::string how = converted ? fmt::format("in {}", to_word(tier.dtype.value)) : "as large";
    std::string text = fmt::format("copies in `{}` come on top, {}", tier.name.value, how);
    if (policy.shape.expert_bytes != 0) {
      const double part = bits_per_weight(tier.dtype.value, tier.group_size.value) / 16;
      text += fmt::format(": {} each{}", size(static_cast<double>(policy.shape.expert_bytes) * part),
                          converted ? " if the model is stored in 16 bits" : "");
    }
    out.push_back(sentence(text));
  }
}

void variants(const BoundPolicy& policy, Sentences& out) {
  if (policy.source == nullptr) return;
  for (const PhaseRule& phase : policy.source->phases) {
    RulesQuery query;
    query.phase = phase.phase;
    const BoundRules rules = rules_in_force(policy, query);
    if (policy.per_layer || rules.capacity == policy.capacity_of(0)) continue;
    out.push_back(
        sentence(fmt::format("in {} {} has {}", to_word(phase.phase),
                             policy.scope == Scope::layer ? "layer 0" : "the cache", count(rules.capacity, "slot"))));
  }
  if (!policy.strategy.is_none() && policy.budget < policy.source->prefetch.budget.value) {
    out.push_back(sentence(fmt::format("prefetch brings at most {} a dispatch, as the cache holds no more",
                                       count(policy.budget, "expert"))));
  }
}

void residents_at_start(const BoundPolicy& policy, Sentences& out) {
  if (!policy.pins.empty()) {
    const uint64_t free = policy.total_capacity() - std::min<uint64_t>(policy.total_capacity(), policy.pins.size());
    out.push_back(sentence(
        fmt::format("{} pinned, which leaves {} to the rule",
                    fmt::format("{} {}", count(policy.pins.size(), "expert"), policy.pins.size() == 1 ? "is" : "are"),
                    count(free, "slot"))));
  }
  if (!policy.preload.empty()) {
    const size_t n = policy.preload.size();
    out.push_back(sentence(fmt::format("{} {} loaded at start", count(n, "expert"), n == 1 ? "is" : "are")));
  }
}

bool can_ask(const Policy& policy, Strategy strategy) {
  bool found = false;
  const auto visit = [&](const KeyValue& value) { found = found || std::get<StrategyChain>(value).has(strategy); };
  visit_values(policy, Key::strategy, visit);
  return found;
}

// The most that a key can be where `strategy` can be in force: in some phase, band, rule or alternative. 0: nowhere.
uint64_t largest(const Policy& policy, Strategy strategy, Key key) {
  uint64_t most = 0;
  const auto visit = [&](const KeyValue& value) { most = std::max(most, std::get<uint64_t>(value)); };
  if (can_ask(policy, strategy)) visit_values(policy, key, visit);
  for (const Policy& other : policy.alternatives) {
    if (can_ask(other, strategy)) visit_values(other, key, visit);
  }
  return most;
}

size_t num_rates(const Policy& policy) {
  std::set<std::tuple<ExprOp, uint32_t, uint32_t>> rates;
  visit_exprs(policy, [&](const Expr& expr) {
    for (const ExprNode& node : expr.nodes) {
      const bool is_rate = node.op == ExprOp::use_rate || node.op == ExprOp::weight_rate;
      if (is_rate) rates.insert({node.op, node.window, node.largest});
    }
  });
  return rates.size();
}

// In binary64 throughout: a product of the largest shape and the largest store leaves 64 bits.
void tables(const BoundPolicy& policy, Sentences& out) {
  if (policy.source == nullptr) return;
  const Policy& source = *policy.source;
  const double layers = policy.shape.num_layers;
  const double experts = policy.shape.num_experts;
  const auto add = [&](std::string_view what, double bytes) {
    out.push_back(sentence(fmt::format("{} {}", what, size(bytes))));
  };
  if (largest(source, Strategy::affinity, Key::budget) > 0) {
    add("affinity's counts of which expert follows which take", layers * experts * (experts + 1) * 8);
  }
  const uint64_t window = std::max(largest(source, Strategy::history, Key::history_window),
                                   largest(source, Strategy::lookahead, Key::history_window));
  if (window > 0) {
    add(fmt::format("the experts of each layer's last {} take, at one token a dispatch and 4 bytes an expert,",
                    count(window, "dispatch")),
        layers * static_cast<double>(window) * policy.shape.top_k * 4);
  }
  if (const uint64_t store = largest(source, Strategy::sequence, Key::store); store > 0) {
    add("the store of past requests takes", static_cast<double>(store + 1) * layers * experts * 8);  // and this one
  }
  if (const uint64_t store = largest(source, Strategy::trajectory, Key::store); store > 0) {
    add("the store of past tokens takes", static_cast<double>(store) * layers * experts * 4);
  }
  if (source.learn) {
    const uint64_t weights = Learner::num_weights(policy.shape.num_experts, source.learn->window.value);
    add("the learner's weights take", static_cast<double>(weights) * 8 * layers);
  }
  if (const size_t rates = num_rates(source); rates > 0) {
    add(fmt::format("{} of every expert {}", rates == 1 ? "the rate" : fmt::format("the {} rates", rates),
                    rates == 1 ? "takes" : "take"),
        static_cast<double>(rates) * layers * experts * 8);
  }
}

}  // namespace

Sentences on_model(const BoundPolicy& policy) {
  Sentences out{model_sentence(policy.shape)};
  slots(policy, out);
  other_tiers(policy, out);
  variants(policy, out);
  residents_at_start(policy, out);
  if (policy.hybrid) {
    out.push_back(sentence(fmt::format("where costs are not known the transfer of an expert is reckoned at {}, so {}",
                                       time(policy.expert_size_gb / 25.0 * 1000.0), action(policy.miss))));
  }
  tables(policy, out);
  return out;
}

}  // namespace moe::ir::plain
