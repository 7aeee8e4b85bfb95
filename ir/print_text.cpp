// SPDX-License-Identifier: Apache-2.0
// Canonical text: the policy language itself. Every key is explicit, except
//   - those whose default is not a value of its own but follows another key or the model (`budget`, `memory_headroom`,
//     `expert_size_gb`; `capacity` beside tiers): they are printed when they were written, since a written value may be
//     an error where the default adapts;
//   - `profile` and `on miss` where there are none, for which the language has no word.
// What a short form said is a rule of `adapt`, in its place among the rules; params are folded into what used them.
// Reading the text back gives an equal IR.
#include "ir/keys.h"
#include "ir/print_value.h"
#include "ir/text_writer.h"

namespace moe::ir {
namespace {

bool follows_something(const Policy& policy, Key key) {
  switch (key) {
    case Key::budget:
      return policy.prefetch.budget.span.is_default();
    case Key::memory_headroom:
      return policy.cache.memory_headroom.span.is_default();
    case Key::expert_size_gb:
      return policy.cache.expert_size_gb.span.is_default();
    case Key::capacity:  // the first tier's
      return policy.tiers.has_value();
    default:
      return false;
  }
}

// No word says that there are no arms, or no profile.
bool has_no_word(const KeyValue& value) {
  if (const auto* arms = std::get_if<std::vector<Arm>>(&value)) return arms->empty();
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr && text->empty();
}

void write_block(const Policy& policy, const Rules& rules, std::string_view block, TextWriter& writer) {
  writer.open(block);
  for (size_t k = 0; k < kNumKeys; ++k) {
    const Key key = static_cast<Key>(k);
    if (info_of(key).block != block) continue;
    const KeyValue value = get(rules, key);
    if (!has_no_word(value) && !follows_something(policy, key)) write_assignment({key, value, {}}, writer);
    // The keys that are never overridden, where the language's table has them.
    if (key == Key::capacity) writer.key("scope", to_word(rules.cache.scope.value));
    if (key == Key::admit) {
      writer.key("pin", print(rules.cache.pins));
      writer.key("preload", print(rules.cache.preload));
    }
  }
  writer.close();
}

void write_learn(const LearnRule& learn, TextWriter& writer) {
  writer.open("learn");
  writer.key("window", uint64_t{learn.window.value});
  writer.number("discount", learn.discount.value);
  writer.number("rate", learn.rate.value);
  if (!learn.profile.value.empty()) writer.key("profile", print_text_value(learn.profile.value));
  writer.flag("freeze", learn.freeze.value);
  writer.close();
}

void write_monitor(const MonitorRule& monitor, TextWriter& writer) {
  std::string metrics;
  for (const Sourced<std::string>& metric : monitor.metrics) {
    if (!metrics.empty()) metrics += ", ";
    metrics += metric.value;
  }
  writer.open("monitor");
  writer.key("metrics", "[" + metrics + "]");
  writer.key("window", uint64_t{monitor.window.value});
  writer.key("log_interval", uint64_t{monitor.log_interval.value});
  writer.close();
}

void write_per_layer(const PerLayerRule& rule, TextWriter& writer) {
  writer.open("per_layer");
  writer.key("allocation", to_word(rule.allocation.value));
  if (rule.total_budget) writer.key("total_budget", rule.total_budget->value);
  writer.key("min_capacity", uint64_t{rule.min_capacity.value});
  writer.key("max_capacity", uint64_t{rule.max_capacity.value});
  writer.key("rebalance_interval", rule.rebalance_interval.value);
  writer.key("entropy_window", uint64_t{rule.entropy_window.value});
  if (!rule.capacities.value.empty()) {
    writer.key("capacities", fmt::format("[{}]", fmt::join(rule.capacities.value, ", ")));
  }
  writer.close();
}

void write_policy(const Policy& policy, TextWriter& writer) {
  writer.open("policy " + policy.name.value);
  for (const Param& param : policy.params) {
    writer.line(
        fmt::format("param {} = {}{}{}", param.name, param.value, param.domain.empty() ? "" : " in ", param.domain));
  }
  const Rules rules = policy.rules();
  write_block(policy, rules, "cache", writer);
  write_block(policy, rules, "prefetch", writer);
  if (policy.learn) write_learn(*policy.learn, writer);
  write_block(policy, rules, "schedule", writer);
  if (policy.monitor) write_monitor(*policy.monitor, writer);
  if (policy.per_layer) write_per_layer(*policy.per_layer, writer);
  if (policy.tiers) write_tiers(*policy.tiers, writer);
  if (policy.memory) write_memory(*policy.memory, writer);
  for (const Band& band : policy.bands) write_band(band, writer);
  for (const PhaseRule& phase : policy.phases) {
    writer.open(fmt::format("phase {}", to_word(phase.phase)));
    write_overrides(phase.overrides, writer);
    writer.close();
  }
  if (!policy.adapt.empty() || !policy.choose.empty()) write_adapt(policy, writer);
  writer.close();
}

}  // namespace

std::string print_text(const Policy& policy) {
  TextWriter writer;
  write_policy(policy, writer);
  for (const Policy& other : policy.alternatives) {  // `use` and `choose` name policies of the file
    writer.line("");
    write_policy(other, writer);
  }
  return writer.take();
}

std::string print_text(const Module& module) {
  TextWriter writer;
  for (size_t i = 0; i < module.policies.size(); ++i) {
    if (i > 0) writer.line("");
    write_policy(module.policies[i], writer);
  }
  return writer.take();
}

}  // namespace moe::ir
