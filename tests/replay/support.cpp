// SPDX-License-Identifier: Apache-2.0
#include "tests/replay/support.h"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <random>

namespace moe::replay::test {

std::optional<std::string> shared_data(const std::string& relative) {
  const std::string path = "../shared/data/" + relative;
  if (std::filesystem::exists(path)) return path;
  std::printf("[SKIP] no %s beside the checkout: skipped\n", relative.c_str());
  return std::nullopt;
}

std::vector<std::string> gzip_lines(const std::string& path) {
  std::vector<std::string> lines;
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return lines;
  char buffer[1 << 16];
  while (gzgets(file, buffer, sizeof buffer) != nullptr) lines.emplace_back(buffer);
  gzclose(file);
  return lines;
}

std::vector<ir::BoundPolicy> recorded_policies() {
  using ir::Eviction;
  const auto base = [](const char* name, Eviction eviction) {
    ir::BoundPolicy policy;
    policy.name = name;
    policy.shape = {24, 32, 4, 0};
    policy.capacity = 160;
    policy.eviction = eviction;
    policy.protect_selected = false;
    return policy;
  };
  std::vector<ir::BoundPolicy> policies;
  for (const char* name : {"lru", "lru_pin", "lru_ttl", "lru_pressure"}) policies.push_back(base(name, Eviction::lru));
  for (const char* name : {"lfu", "lfu_pin", "lfu_slow", "lfu_ttl"}) policies.push_back(base(name, Eviction::lfu));
  for (const char* name : {"score", "score_fast", "score_pressure"}) policies.push_back(base(name, Eviction::score));
  policies.push_back(base("freq_threshold", Eviction::freq_threshold));
  for (ir::BoundPolicy& policy : policies) {
    const std::string& name = policy.name;
    if (name.ends_with("_pin")) {
      for (auto [layer, expert] : {std::pair{0, 27}, {3, 13}, {11, 26}, {12, 30}, {18, 7}, {22, 9}}) {
        policy.pins.push_back(static_cast<uint32_t>(layer * 32 + expert));
      }
    }
    if (name == "lfu" || name == "lfu_pin") policy.frequency_decay = 0.9;
    if (name == "lfu_slow") policy.frequency_decay = 0.995;
    if (name == "lru_ttl") policy.ttl = 480;
    if (name == "lfu_ttl") policy.ttl = 320;
    if (name == "score_fast") policy.score_ema_alpha = 0.8;
    if (name == "lru_pressure") policy.memory_threshold = 0.9, policy.memory_headroom = 0.6;
    if (name == "score_pressure") policy.memory_threshold = 0.8, policy.memory_headroom = 0.5;
    if (name.ends_with("_pressure")) policy.memory_budget_gb = 8.0, policy.expert_size_gb = 0.05;
    if (name == "freq_threshold") policy.freq_threshold = 0.0081, policy.freq_window = 600;
  }
  return policies;
}

Trace random_trace(uint32_t seed) {
  std::mt19937 random(seed);
  const auto below = [&](uint32_t limit) { return static_cast<uint32_t>(random() % limit); };
  Trace trace;
  trace.num_layers = 1 + below(4);
  trace.num_experts = 4 + below(12);
  trace.top_k = 1 + below(4);
  trace.num_tokens = 1 + below(10);
  trace.lookahead_width = 1 + below(4);
  const auto draw_sets = [&](uint32_t width, std::vector<uint16_t>& ids) {
    std::vector<uint16_t> all(trace.num_experts);
    for (uint32_t i = 0; i < trace.num_experts; ++i) all[i] = static_cast<uint16_t>(i);
    for (uint64_t row = 0; row < trace.num_tokens * trace.num_layers; ++row) {
      std::shuffle(all.begin(), all.end(), random);
      for (uint32_t i = 0; i < width; ++i) ids.push_back(below(10) == 0 ? kNoExpert : all[i]);
    }
  };
  draw_sets(trace.top_k, trace.experts);
  draw_sets(trace.lookahead_width, trace.lookahead);
  for (size_t i = 0; i < trace.experts.size(); ++i)
    trace.weights.push_back(static_cast<float>(below(1 << 20)) / 0x1p20f);
  for (size_t i = 0; i < trace.lookahead.size(); ++i) {
    trace.lookahead_probs.push_back(static_cast<float>(below(1025)) / 1024.0f);
  }
  for (uint32_t token = 0; token < trace.num_tokens; ++token) {
    trace.requests.push_back(token / 3);
    trace.steps.push_back(token / 2);
    trace.phases.push_back(static_cast<uint8_t>(token % 2));
  }
  trace.dropped = {{0, 0, 1}, {3, trace.num_layers - 1, 2}};
  trace.metadata = R"({"model":"random","text":"drawn for a test"})";
  return trace;
}

TemporaryDirectory::TemporaryDirectory() {
  path_ = std::filesystem::temp_directory_path() / ("moe_replay_test_" + std::to_string(getpid()));
  std::filesystem::create_directories(path_);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace moe::replay::test
