// SPDX-License-Identifier: Apache-2.0
// From text to PolicyIR: values, defaults, spans, settings.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <string>

#include "frontend/frontend.h"
#include "frontend/keys.h"
#include "tests/frontend/support.h"

namespace {

using namespace moe;
using frontend::LowerOptions;

ir::Module compile_good(const std::string& text, const LowerOptions& options = {}) {
  ir::Diagnostics diagnostics;
  const ir::SourceFile source("x.moe", text);
  auto module = frontend::compile_to_ir(source, options, diagnostics);
  INFO(ir::render_text(source, diagnostics, false));
  REQUIRE(module.has_value());
  return std::move(*module);
}

ir::CacheRule cache_of(const std::string& keys) {
  return compile_good("policy p { cache { " + keys + " } }").policies.at(0).cache;
}

}  // namespace

TEST_CASE("defaults are those of ir/policy.h, without a place in the source") {
  const ir::Module module = compile_good("policy p { cache { capacity = 8 } }");
  const ir::Policy& policy = module.policies.at(0);
  const ir::CacheRule defaults;
  CHECK(policy.cache.capacity.value.kind == ir::Capacity::Kind::slots);
  CHECK(policy.cache.capacity.value.amount == 8);
  CHECK(policy.cache.eviction.value == ir::Eviction::lru);
  CHECK(policy.cache.eviction.span.is_default());
  CHECK(policy.cache.frequency_decay.value == defaults.frequency_decay.value);
  CHECK(!policy.cache.ttl);
  CHECK(!policy.cache.memory_threshold);
  CHECK(!policy.monitor);
  CHECK(policy.prefetch.strategy.value == ir::Strategy::none);
  CHECK(policy.schedule.mode.value == ir::ScheduleMode::gpu_only);
}

TEST_CASE("the table of keys and ir/policy.h agree on every default") {
  // A policy that writes each default of the table is the policy that writes none.
  std::string text = "policy p { cache { capacity = 8 ";
  for (const char* block : {"cache", "prefetch", "schedule", "monitor"}) {
    if (std::string_view(block) != "cache") text += std::string(" } ") + block + " { ";
    for (const frontend::KeySpec& key : frontend::find_block(block)->keys) {
      if (key.default_text.empty() || key.name == "admit") continue;
      text += std::string(key.name) + " = " + std::string(key.default_text) + " ";
    }
  }
  ir::Policy written = compile_good(text + " } }").policies.at(0);
  ir::Policy bare = compile_good("policy p { cache { capacity = 8 } monitor { window = 100 } }").policies.at(0);
  written.cache.memory_headroom.span = written.cache.expert_size_gb.span = written.prefetch.budget.span = {};
  CHECK(ir::print_text(written) == ir::print_text(bare));
}

TEST_CASE("every key arrives") {
  const ir::Policy policy = compile_good(R"(policy p {
    cache { capacity = 12.5% scope = layer eviction = lfu admit = never pin = [1, 2..3, 4:5, 0..1:6..7, *:9]
            frequency_decay = 0.5 decay_interval = 7 score_ema_alpha = 0.25 freq_threshold = 1% freq_window = 9
            ttl = 11 memory_threshold = 90% memory_headroom = 0.8 memory_budget_gb = 8GiB expert_size_gb = 350MB
            protect_selected = false }
    prefetch { strategy = gate budget = 3 lookahead = 2 history_window = 20 affinity_threshold = 0.4
               min_probability = 0.1 bandwidth = 50% cancel_stale = false }
    schedule { mode = hybrid offload_threshold_ms = 0.02s overlap = true priority_routing = true }
    monitor { metrics = [stall_ms, hit_rate] window = 5 log_interval = 6 } })")
                                .policies.at(0);
  const ir::CacheRule& cache = policy.cache;
  CHECK(cache.capacity.value.kind == ir::Capacity::Kind::ratio);
  CHECK(cache.capacity.value.ratio == 0.125);
  CHECK(cache.scope.value == ir::Scope::layer);
  CHECK(cache.eviction.value == ir::Eviction::lfu);
  CHECK(cache.admit.value == ir::Admit::never);
  REQUIRE(cache.pins.size() == 5);
  CHECK(!cache.pins[0].value.layers);
  CHECK(cache.pins[1].value.experts.last == 3);
  CHECK(cache.pins[2].value.layers->first == 4);
  CHECK(cache.pins[3].value.layers->last == 1);
  CHECK(cache.pins[3].value.experts.first == 6);
  CHECK(!cache.pins[4].value.layers);
  CHECK(cache.frequency_decay.value == 0.5);
  CHECK(cache.decay_interval.value == 7);
  CHECK(cache.score_ema_alpha.value == 0.25);
  CHECK(cache.freq_threshold.value == 0.01);
  CHECK(cache.freq_window.value == 9);
  CHECK(cache.ttl->value == 11);
  CHECK(cache.memory_threshold->value == 0.9);
  CHECK(cache.memory_headroom.value == 0.8);
  CHECK(cache.memory_budget_gb.value == 8.589934592);
  CHECK(cache.expert_size_gb.value == 0.35);
  CHECK(!cache.protect_selected.value);
  CHECK(policy.prefetch.strategy.value == ir::Strategy::gate);
  CHECK(policy.prefetch.budget.value == 3);
  CHECK(policy.prefetch.lookahead.value == 2);
  CHECK(policy.prefetch.history_window.value == 20);
  CHECK(policy.prefetch.affinity_threshold.value == 0.4);
  CHECK(policy.prefetch.min_probability.value == 0.1);
  CHECK(policy.prefetch.bandwidth.value == 0.5);
  CHECK(!policy.prefetch.cancel_stale.value);
  CHECK(policy.schedule.mode.value == ir::ScheduleMode::hybrid);
  CHECK(policy.schedule.offload_threshold_ms.value == 20);
  CHECK(policy.schedule.priority_routing.value);
  REQUIRE(policy.monitor);
  CHECK(policy.monitor->metrics.at(0).value == "stall_ms");
  CHECK(policy.monitor->window.value == 5);
  CHECK(policy.monitor->log_interval.value == 6);
  CHECK(ir::verify(policy).empty());
}

TEST_CASE("every enumerator of the IR has a word of the language, and every word its enumerator") {
  const auto all = [](const char* block, const char* key) {
    return frontend::split_words(frontend::find_key(*frontend::find_block(block), key)->words);
  };
  LowerOptions replay;  // belady
  replay.replay = true;
  for (const std::string_view word : all("cache", "eviction")) {
    if (word == "fallback") continue;  // stands for two
    const std::string text = "policy p { cache { capacity = 8 eviction = " + std::string(word) + " } }";
    CHECK(to_word(compile_good(text, replay).policies[0].cache.eviction.value.kind) == word);
  }
  CHECK(all("cache", "eviction").size() == static_cast<size_t>(ir::Eviction::belady) + 2);
  for (const std::string_view word : all("prefetch", "strategy")) {
    const std::string text =
        "policy p { cache { capacity = 8 } learn { window = 24 } prefetch { strategy = " + std::string(word) + " } }";
    CHECK(to_word(compile_good(text).policies[0].prefetch.strategy.value.links.front()) == word);
  }
  for (const std::string_view word : all("schedule", "mode")) {
    const std::string text = "policy p { cache { capacity = 8 } schedule { mode = " + std::string(word) + " } }";
    CHECK(to_word(compile_good(text).policies[0].schedule.mode.value) == word);
  }
  CHECK(cache_of("capacity = 8 eviction = frequency_threshold").eviction.value == ir::Eviction::freq_threshold);
  CHECK(cache_of("capacity = 8 eviction = lfu lfu_decay = 0.5").frequency_decay.value == 0.5);
}

TEST_CASE("capacities") {
  CHECK(cache_of("capacity = auto").capacity.value.kind == ir::Capacity::Kind::automatic);
  CHECK(cache_of("capacity = 20GB").capacity.value.amount == 20000000000);
  CHECK(cache_of("capacity = 20GiB").capacity.value.kind == ir::Capacity::Kind::bytes);
  CHECK(cache_of("capacity = 20GiB").capacity.value.amount == 21474836480);
  CHECK(cache_of("capacity = 2 * 4 + if 1 < 2 then 1 else 0").capacity.value.amount == 9);
  CHECK(cache_of("capacity = 7%").capacity.value.ratio == 7.0 / 100);
}

TEST_CASE("defaults that adapt to what was written") {
  CHECK(cache_of("capacity = 8 memory_threshold = 0.5").memory_headroom.value == 0.9 * 0.5);
  CHECK(cache_of("capacity = 8 memory_threshold = 0.95").memory_headroom.value == 0.7);
  CHECK(compile_good("policy p { cache { capacity = 2 } }").policies[0].prefetch.budget.value == 2);
  CHECK(compile_good("policy p { cache { capacity = 2% } }").policies[0].prefetch.budget.value == 4);
}

TEST_CASE("spans of values") {
  const std::string text = "policy p { cache { capacity = 8 eviction = lfu pin = [3] } }";
  const ir::Policy policy = compile_good(text).policies.at(0);
  const auto under = [&](ir::SourceSpan span) { return text.substr(span.begin, span.end - span.begin); };
  CHECK(under(policy.name.span) == "p");
  CHECK(under(policy.span) == text);
  CHECK(under(policy.cache.capacity.span) == "8");
  CHECK(under(policy.cache.eviction.span) == "lfu");
  CHECK(under(policy.cache.pins[0].span) == "3");
}

TEST_CASE("settings replace params") {
  const std::string text =
      "policy a { param n = 8 in 1..64  param e = lru  cache { capacity = n * 2 eviction = e } }\n"
      "policy b { param n = 4  cache { capacity = n } }";
  const ir::Module module = compile_good(text, {{{"n", "3"}, {"e", "fifo"}}});
  CHECK(module.policies[0].cache.capacity.value.amount == 6);
  CHECK(module.policies[0].cache.eviction.value == ir::Eviction::fifo);
  CHECK(module.policies[1].cache.capacity.value.amount == 3);
  CHECK(compile_good("policy a { param n = 8  cache { capacity = n } }", {{{"n", "25%"}}})
            .policies[0]
            .cache.capacity.value.ratio == 0.25);
}

TEST_CASE("a setting is one literal") {
  for (const char* value : {"8..", "16GB/2", "1 + 1", "", "8 9", "[1]", "-", "x y", "8kb", "@"}) {
    INFO(value);
    ir::Diagnostics diagnostics;
    const ir::SourceFile source("x.moe", "policy a { param n = 8  cache { capacity = n } }");
    CHECK(!frontend::compile_to_ir(source, {{{"n", value}}}, diagnostics));
    REQUIRE(diagnostics.items().size() == 1);
    CHECK(diagnostics.items()[0].code == "MOE2026");
  }
}

TEST_CASE("printed policies read back as the same IR") {
  for (const std::string& text : moe::test::golden_texts()) {
    ir::Diagnostics diagnostics;
    const auto module = frontend::compile_to_ir(ir::SourceFile("x.moe", text), {}, diagnostics);
    if (!module) continue;
    const std::string printed = ir::print_text(*module);
    INFO(printed);
    ir::Diagnostics again;
    const ir::SourceFile source("printed.moe", printed);
    const auto reread = frontend::compile_to_ir(source, {}, again);
    INFO(ir::render_text(source, again, false));
    REQUIRE(reread.has_value());
    CHECK(ir::print_text(*reread) == printed);
    CHECK(ir::print_json(*reread) == ir::print_json(*module));
  }
}
