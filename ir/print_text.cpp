// SPDX-License-Identifier: Apache-2.0
// Canonical text: the policy language itself. Every key is explicit, except those whose default is not a value of its
// own but follows another key or the model (`budget`, `memory_headroom`, `expert_size_gb`): they are printed when they
// were written, since a written value may be an error where the default adapts. Reading the text back gives the same
// IR.
#include <fmt/format.h>

#include "ir/keys.h"
#include "ir/policy.h"
#include "ir/print_value.h"

namespace moe::ir {
namespace {

/// The lines of one policy.
class Writer {
 public:
  void open(std::string_view head) {
    text_ += fmt::format("{:{}}{} {{\n", "", indent_, head);
    indent_ += 2;
  }
  void close() {
    indent_ -= 2;
    text_ += fmt::format("{:{}}}}\n", "", indent_);
  }
  void key(std::string_view name, std::string_view value) {
    text_ += fmt::format("{:{}}{} = {}\n", "", indent_, name, value);
  }
  void key(std::string_view name, double value) { key(name, print_number(value)); }
  void key(std::string_view name, uint64_t value) { key(name, fmt::format("{}", value)); }
  void flag(std::string_view name, bool value) { key(name, value ? "true" : "false"); }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  int indent_ = 0;
};

void print_cache(const CacheRule& cache, Writer& writer) {
  writer.open("cache");
  writer.key("capacity", print(cache.capacity.value));
  writer.key("scope", to_word(cache.scope.value));
  writer.key("eviction", print(cache.eviction.value));
  writer.key("admit", print(cache.admit.value));
  writer.key("pin", print(cache.pins));
  writer.key("frequency_decay", cache.frequency_decay.value);
  writer.key("decay_interval", cache.decay_interval.value);
  writer.key("score_ema_alpha", cache.score_ema_alpha.value);
  writer.key("freq_threshold", cache.freq_threshold.value);
  writer.key("freq_window", cache.freq_window.value);
  if (cache.ttl) writer.key("ttl", cache.ttl->value);
  if (cache.memory_threshold) writer.key("memory_threshold", cache.memory_threshold->value);
  if (!cache.memory_headroom.span.is_default()) writer.key("memory_headroom", cache.memory_headroom.value);
  writer.key("memory_budget_gb", cache.memory_budget_gb.value);
  if (!cache.expert_size_gb.span.is_default()) writer.key("expert_size_gb", cache.expert_size_gb.value);
  writer.flag("protect_selected", cache.protect_selected.value);
  writer.close();
}

void print_prefetch(const PrefetchRule& prefetch, Writer& writer) {
  writer.open("prefetch");
  writer.key("strategy", print(prefetch.strategy.value));
  if (!prefetch.budget.span.is_default()) writer.key("budget", uint64_t{prefetch.budget.value});
  writer.key("lookahead", uint64_t{prefetch.lookahead.value});
  writer.key("history_window", uint64_t{prefetch.history_window.value});
  writer.key("affinity_threshold", prefetch.affinity_threshold.value);
  writer.key("min_probability", prefetch.min_probability.value);
  writer.key("bandwidth", print_value(Key::bandwidth, prefetch.bandwidth.value));
  writer.flag("cancel_stale", prefetch.cancel_stale.value);
  writer.close();
}

void print_schedule(const ScheduleRule& schedule, Writer& writer) {
  writer.open("schedule");
  writer.key("mode", to_word(schedule.mode.value));
  writer.key("offload_threshold_ms", schedule.offload_threshold_ms.value);
  writer.flag("overlap", schedule.overlap.value);
  writer.flag("priority_routing", schedule.priority_routing.value);
  writer.close();
}

void print_monitor(const MonitorRule& monitor, Writer& writer) {
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

}  // namespace

std::string print_text(const Policy& policy) {
  Writer writer;
  writer.open("policy " + policy.name.value);
  print_cache(policy.cache, writer);
  print_prefetch(policy.prefetch, writer);
  print_schedule(policy.schedule, writer);
  if (policy.monitor) print_monitor(*policy.monitor, writer);
  writer.close();
  return writer.take();
}

std::string print_text(const Module& module) {
  std::string text;
  for (const Policy& policy : module.policies) {
    if (!text.empty()) text += "\n";
    text += print_text(policy);
  }
  return text;
}

}  // namespace moe::ir
