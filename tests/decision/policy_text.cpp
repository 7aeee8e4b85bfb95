// SPDX-License-Identifier: Apache-2.0
// A random policy as its author would have written it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ir/print_value.h"
#include "tests/decision/random_policy.h"

namespace moe::test {
namespace {

std::string list(const ir::BoundPolicy& policy, const std::vector<uint32_t>& keys) {
  std::vector<std::string> text;
  for (const uint32_t key : keys) {
    text.push_back(fmt::format("{}:{}", key / policy.shape.num_experts, key % policy.shape.num_experts));
  }
  return fmt::format("[{}]", fmt::join(text, ", "));
}

std::string cache_text(const ir::BoundPolicy& policy) {
  std::string text = fmt::format("capacity = {} scope = {} eviction = {} admit = {} protect_selected = {} pin = {} ",
                                 policy.capacity, ir::to_word(policy.scope), ir::print(policy.eviction),
                                 ir::print(policy.admit), policy.protect_selected, list(policy, policy.pins));
  if (!policy.preload.empty()) text += fmt::format("preload = {} ", list(policy, policy.preload));
  if (policy.one_by_one) text += "one_by_one = true ";
  text += fmt::format(
      "frequency_decay = {} decay_interval = {} score_ema_alpha = {} freq_threshold = {} freq_window = {} ",
      policy.frequency_decay, policy.decay_interval, policy.score_ema_alpha, policy.freq_threshold, policy.freq_window);
  if (policy.ttl != 0) text += fmt::format("ttl = {} ", policy.ttl);
  if (policy.memory_threshold > 0) {
    text += fmt::format("memory_threshold = {} memory_headroom = {} ", policy.memory_threshold, policy.memory_headroom);
  }
  return text +
         fmt::format("memory_budget_gb = {} expert_size_gb = {}", policy.memory_budget_gb, policy.expert_size_gb);
}

std::string prefetch_text(const ir::BoundPolicy& policy) {
  std::string text = fmt::format(
      "strategy = {} budget = {} lookahead = {} history_window = {} affinity_threshold = {} store = {} min_probability "
      "= {}",
      ir::print(policy.strategy), policy.budget, policy.lookahead, policy.history_window, policy.affinity_threshold,
      policy.store, policy.min_probability);
  if (!policy.prefetch_when.empty()) text += " when = " + ir::print_expr(policy.prefetch_when);
  if (policy.prefetch_admit.kind != ir::Admit::always) text += " admit = " + ir::print(policy.prefetch_admit);
  if (policy.prefetch_evict) text += " evict = " + ir::print(*policy.prefetch_evict);
  if (policy.top != ir::BoundRules{}.top) text += fmt::format(" top = {}", policy.top);
  if (policy.side_buffer) text += " side_buffer = true";
  return text;
}

std::string mode_text(const ir::BoundPolicy& policy) {
  if (policy.balance) return "mode = balance";
  if (policy.miss == ir::MissAction::cpu_load) return "mode = cpu_fallback";
  if (policy.miss == ir::MissAction::cpu) return "mode = hybrid offload_threshold_ms = 0.001";
  return policy.arms.empty() ? "mode = gpu_only" : "";
}

std::string schedule_text(const ir::BoundPolicy& policy) {
  std::string text = mode_text(policy);
  bool approximate = !policy.drop.empty();
  std::string arms;
  for (const ir::Arm& arm : policy.arms) {
    arms += " " + ir::print(arm);
    const bool exact = arm.action == ir::MissAction::load || arm.action == ir::MissAction::cpu ||
                       arm.action == ir::MissAction::cpu_load;
    approximate |= !exact;
  }
  if (!arms.empty()) text += " on miss {" + arms + " }";
  if (approximate) text += " approximate = true";
  const auto add = [&text](const char* key, const ir::Expr& value) {
    if (!value.empty()) text += fmt::format(" {} = {}", key, ir::print_expr(value));
  };
  if (!policy.order.empty()) text += fmt::format(" order = least({})", ir::print_expr(policy.order));
  if (!policy.drop.empty()) text += fmt::format(" drop = when({})", ir::print_expr(policy.drop));
  add("gpu_time", policy.gpu_time);
  add("cpu_time", policy.cpu_time);
  add("cpu_setup", policy.cpu_setup);
  add("load_time", policy.load_time);
  if (policy.deadline_ms != 0) text += fmt::format(" deadline = {}", policy.deadline_ms);
  if (policy.max_loads != ir::BoundRules{}.max_loads) text += fmt::format(" max_loads = {}", policy.max_loads);
  if (policy.loads_in_order) text += " loads_in_order = true";
  if (policy.arrival != 0) text += fmt::format(" arrival = {}", policy.arrival);
  return text;
}

}  // namespace

std::string to_source(const ir::BoundPolicy& policy) {
  std::string learn;
  if (policy.learn) {
    learn = fmt::format("  learn {{ window = {} discount = {} rate = {} freeze = {} }}\n", policy.learn->window.value,
                        policy.learn->discount.value, policy.learn->rate.value, policy.learn->freeze.value);
  }
  return fmt::format("policy {} {{\n  cache {{ {} }}\n  prefetch {{ {} }}\n  schedule {{ {} }}\n{}}}\n", policy.name,
                     cache_text(policy), prefetch_text(policy), schedule_text(policy), learn);
}

}  // namespace moe::test
