// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "ir/bind.h"
#include "tests/ir/policies.h"

namespace moe::ir::test {
namespace {

Policy full_policy() {
  Policy policy = policy_of(ratio(0.29));
  policy.name = written(std::string("full"));
  policy.cache.scope = written(Scope::layer);
  policy.cache.pins = {pin(std::nullopt, {5, 5}), pin(Pin::Range{3, 3}, {0, 7}), pin(Pin::Range{0, 1}, {2, 2})};
  policy.cache.ttl = written(uint64_t{200});
  policy.cache.memory_threshold = written(0.9);
  policy.cache.memory_headroom = written(0.6);
  policy.cache.expert_size_gb = written(0.05);
  policy.prefetch.strategy = written<StrategyChain>(Strategy::gate);
  policy.prefetch.budget = written(8u);
  policy.prefetch.min_probability = written(1e-30);
  policy.prefetch.bandwidth = written(0.5);
  policy.monitor.emplace();
  policy.monitor->metrics.push_back(written(std::string("eviction_rate")));
  return policy;
}

TEST_CASE("canonical text") {
  CHECK(print_text(full_policy()) == R"(policy full {
  cache {
    capacity = 29%
    scope = layer
    eviction = lfu
    admit = always
    pin = [5, 3:0..7, 0..1:2]
    preload = []
    frequency_decay = 0.95
    decay_interval = 100
    score_ema_alpha = 0.3
    freq_threshold = 0.05
    freq_window = 100
    ttl = 200
    memory_threshold = 0.9
    memory_headroom = 0.6
    memory_budget_gb = 16
    expert_size_gb = 0.05
    protect_selected = true
    one_by_one = false
  }
  prefetch {
    strategy = gate
    budget = 8
    lookahead = 1
    history_window = 50
    affinity_threshold = 0.3
    min_probability = 1e-30
    bandwidth = 50%
    cancel_stale = true
    store = 64
    top = none
    side_buffer = false
    when = true
    admit = always
    evict = cache
  }
  schedule {
    mode = gpu_only
    offload_threshold_ms = 50
    overlap = true
    priority_routing = false
    deadline = none
    max_loads = none
    loads_in_order = false
    arrival = 0
    order = auto
    approximate = false
    drop = never
    gpu_time = auto
    cpu_time = auto
    cpu_setup = auto
    load_time = auto
  }
  monitor {
    metrics = [hit_rate, eviction_rate]
    window = 100
    log_interval = 50
  }
}
)");
}

TEST_CASE("keys whose default follows something else are printed only when written") {
  const std::string text = print_text(policy_of(automatic()));
  for (const std::string key :
       {"budget =", "memory_headroom =", "expert_size_gb =", "profile =", "on miss", "monitor"}) {
    CAPTURE(key);
    CHECK(text.find(key) == std::string::npos);
  }
  CHECK(text.find("capacity = auto\n") != std::string::npos);
  CHECK(print_text(policy_of(bytes(1000))).find("capacity = 1000B\n") != std::string::npos);
}

TEST_CASE("a per cent reads back as the same ratio") {
  for (int thousandths = 1; thousandths <= 1000; ++thousandths) {
    const double share = thousandths / 10.0 / 100;
    const std::string text = print_text(policy_of(ratio(share)));
    const size_t begin = text.find("capacity = ") + 11;
    const std::string number = text.substr(begin, text.find('%') - begin);
    CHECK(std::stod(number) / 100 == share);
    CHECK(number.size() <= 5);
  }
  // No per cent is exact: a product of a number and 100 per cent is.
  for (double share : {1.0 / 3, 2.0 / 7, std::numeric_limits<double>::min(), 1e-20}) {
    const std::string text = print_text(policy_of(ratio(share)));
    const std::string value = text.substr(text.find("capacity = ") + 11);
    const size_t digits = value.front() == '(' ? 1 : 0;
    CHECK(value.find(digits == 1 ? " * 100%)\n" : "%\n") != std::string::npos);
    CHECK(std::strtod(value.c_str() + digits, nullptr) / (digits == 1 ? 1 : 100) == share);
  }
}

TEST_CASE("modules put policies one after the other") {
  Module module;
  module.policies = {policy_of(slots(1)), policy_of(slots(2))};
  module.policies[1].name = written(std::string("q"));
  const std::string text = print_text(module);
  CHECK(text.find("}\n\npolicy q {") != std::string::npos);
  const auto json = nlohmann::json::parse(print_json(module));
  REQUIRE(json.size() == 2);
  CHECK(json[1]["name"] == "q");
}

TEST_CASE("JSON of a policy") {
  const auto json = nlohmann::json::parse(print_json(full_policy()));
  CHECK(json["name"] == "full");
  CHECK(json["cache"]["capacity"]["ratio"] == 0.29);
  CHECK(json["cache"]["pin"] ==
        nlohmann::json::parse(R"([{"layers":null,"experts":[5,5]},{"layers":[3,3],"experts":[0,7]},
      {"layers":[0,1],"experts":[2,2]}])"));
  CHECK(json["cache"]["ttl"] == 200);
  CHECK(json["prefetch"]["strategy"] == "gate");
  CHECK(json["schedule"]["mode"] == "gpu_only");
  CHECK(json["monitor"]["metrics"] == nlohmann::json::parse(R"(["hit_rate","eviction_rate"])"));
  CHECK(json["exactness"] == "exact");
  CHECK(json["timing_free"] == false);
}

TEST_CASE("JSON of a bound policy; names that are not UTF-8 do no harm") {
  BoundPolicy bound;
  bound.name = "\xFF";
  bound.shape = {2, 8, 2, 1000};
  bound.capacity = 4;
  bound.pins = {1, 9};
  const auto json = nlohmann::json::parse(print_json(bound));
  CHECK(json["model"]["expert_bytes"] == 1000);
  CHECK(json["cache"]["pin"] == nlohmann::json::parse("[1,9]"));
  CHECK(json["cache"]["ttl"].is_null());
  CHECK(json["schedule"]["miss"] == "load");
}

TEST_CASE("verify finds every broken range") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(verify(policy_of(slots(1))).empty());
  CHECK(verify(full_policy()).empty());
  Policy policy;
  policy.cache.frequency_decay.value = 0;
  policy.cache.decay_interval.value = 0;
  policy.cache.score_ema_alpha.value = nan;
  policy.cache.freq_threshold.value = -0.1;
  policy.cache.freq_window.value = (1 << 20) + 1;
  policy.cache.ttl = written(uint64_t{0});
  policy.cache.pins = {pin(std::nullopt, {3, 2}), pin(Pin::Range{0, 4096}, {0, 0})};
  policy.cache.memory_threshold = written(0.5);
  policy.cache.memory_headroom = written(0.6);
  policy.cache.memory_budget_gb.value = 0;
  policy.cache.expert_size_gb.value = std::numeric_limits<double>::infinity();
  policy.prefetch.budget.value = 0;
  policy.prefetch.lookahead.value = 0;
  policy.prefetch.history_window.value = 4097;
  policy.prefetch.affinity_threshold.value = 2;
  policy.prefetch.min_probability.value = nan;
  policy.prefetch.bandwidth.value = 0;
  policy.schedule.offload_threshold_ms.value = 0;
  policy.monitor.emplace();
  policy.monitor->window.value = 0;
  policy.monitor->log_interval.value = 0;
  policy.monitor->metrics.push_back(written(std::string()));
  // The name and the capacity are missing too.
  const auto sentences = verify(policy);
  CHECK(sentences.size() == 23);
  for (const std::string& sentence : sentences) CHECK_FALSE(sentence.empty());
}

TEST_CASE("verify of the bound form") {
  BoundPolicy bound;
  bound.shape = {2, 8, 2, 0};
  bound.capacity = 2;
  bound.pins = {1, 9};
  CHECK(verify(bound).empty());
  bound.pins = {9, 1};
  CHECK(verify(bound).size() == 1);
  bound.pins = {1, 2, 16};
  CHECK(verify(bound).size() == 2);  // not a key, and more than the places
  bound.pins = {};
  bound.capacity = 17;
  CHECK(verify(bound).size() == 1);
  bound.scope = Scope::layer;
  bound.capacity = 8;
  CHECK(verify(bound).empty());
  bound.shape.num_layers = 0;
  CHECK(verify(bound).size() == 1);
}

}  // namespace
}  // namespace moe::ir::test
