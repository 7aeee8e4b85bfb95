// SPDX-License-Identifier: Apache-2.0
// Canonical text reads back as the same IR: seeded random policies through print_text and the frontend.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "frontend/frontend.h"
#include "tests/ir/policies.h"

namespace moe::ir::test {
namespace {

/// Draws valid policies.
class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  Policy policy() {
    Policy policy = policy_of(capacity());
    cache(policy.cache);
    prefetch(policy.prefetch);
    policy.schedule.mode = written(pick({ScheduleMode::gpu_only, ScheduleMode::cpu_fallback, ScheduleMode::hybrid}));
    policy.schedule.offload_threshold_ms = written(0.001 + 1000 * share());
    policy.schedule.overlap = written(policy.schedule.mode.value == ScheduleMode::hybrid || flip());
    policy.schedule.priority_routing = written(flip());
    if (flip()) {
      policy.monitor.emplace();
      policy.monitor->metrics = {written(std::string("hit_rate")), written(std::string("eviction_rate"))};
      policy.monitor->window = written(1 + below(4096));
      policy.monitor->log_interval = written(1 + below(1000));
    }
    return policy;
  }

 private:
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }
  bool flip() { return below(2) != 0; }
  /// (0, 1], sometimes with all 53 bits, sometimes round.
  double share() { return flip() ? (1 + below(1000)) / 1000.0 : static_cast<double>(1 + (random_() >> 11)) / 0x1p53; }
  template <class T>
  T pick(std::initializer_list<T> values) {
    return *(values.begin() + below(static_cast<uint32_t>(values.size())));
  }

  Capacity capacity() {
    switch (below(4)) {
      case 0:
        return slots(1000 + below(1000));  // room for every pin and budget below
      case 1:
        return ratio((1 + below(10000)) / 100.0 / 100);  // what a percentage can say
      case 2:
        return bytes(1 + below(1u << 31));
      default:
        return automatic();
    }
  }

  void cache(CacheRule& rule) {
    rule.scope = written(pick({Scope::global, Scope::layer}));
    rule.eviction = written<EvictionRule>(
        pick({Eviction::lru, Eviction::lfu, Eviction::score, Eviction::freq_threshold, Eviction::fifo}));
    rule.admit = written<AdmitRule>(pick({Admit::always, Admit::never}));
    for (uint32_t i = 0, n = below(4); i < n; ++i) {
      const uint32_t layer = below(10);
      const uint32_t expert = 100 * i + below(50);
      const bool in_all = flip();
      rule.pins.push_back(
          pin(in_all ? std::nullopt : std::optional(Pin::Range{layer, layer + below(3)}), {expert, expert + below(5)}));
    }
    rule.frequency_decay = written(share());
    rule.decay_interval = written(uint64_t{1 + below(1000)});
    rule.score_ema_alpha = written(share());
    rule.freq_threshold = written(share());
    rule.freq_window = written(uint64_t{1 + below(1 << 20)});
    if (flip()) rule.ttl = written(uint64_t{1 + below(100000)});
    if (flip()) rule.memory_threshold = written(share());
    if (rule.memory_threshold && flip()) rule.memory_headroom = written(rule.memory_threshold->value * 0.5);
    if (rule.memory_threshold && rule.memory_headroom.span.is_default()) {
      rule.memory_headroom.value = std::min(0.7, 0.9 * rule.memory_threshold->value);  // as the frontend fills it in
    }
    rule.memory_budget_gb = written(0.001 + 100 * share());
    if (flip()) rule.expert_size_gb = written(share());
    rule.protect_selected = written(flip());
  }

  void prefetch(PrefetchRule& rule) {
    rule.strategy =
        written<StrategyChain>(pick({Strategy::none, Strategy::history, Strategy::lookahead, Strategy::gate}));
    if (flip()) rule.budget = written(1 + below(16));
    rule.lookahead = written(1 + below(8));
    rule.history_window = written(1 + below(4096));
    rule.affinity_threshold = written(share());
    rule.min_probability = written(share());
    rule.bandwidth = written((1 + below(100)) / 100.0);
    rule.cancel_stale = written(flip());
  }

  std::mt19937_64 random_;
};

TEST_CASE("what is printed reads back as the same IR") {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    const Policy policy = Generator(seed).policy();
    REQUIRE(verify(policy).empty());
    const std::string text = print_text(policy);
    CAPTURE(text);
    const SourceFile source("round_trip.moe", text);
    Diagnostics diagnostics;
    const std::optional<Module> module = frontend::compile_to_ir(source, {}, diagnostics);
    REQUIRE_MESSAGE(module, render_text(source, diagnostics, false));
    REQUIRE(module->policies.size() == 1);
    CHECK(print_json(module->policies[0]) == print_json(policy));
    CHECK(print_text(module->policies[0]) == text);
  }
}

}  // namespace
}  // namespace moe::ir::test
