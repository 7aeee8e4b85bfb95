// SPDX-License-Identifier: Apache-2.0
// Decision logs: the reader, and the replay that explains dispatches from what it read, states of kernels included.
// Sizes, version of the kernels and checksums are made right first, since no mutation would; digests are not, so that a
// replay ends with the first dispatch that a mutation changed, decided.
#include <algorithm>
#include <cstring>
#include <vector>

#include "replay/explain.h"
#include "runtime/base/decision_log.h"
#include "runtime/decision/abi.h"
#include "tests/fuzz/target.h"

namespace {

using namespace moe;
using moe::test::require;

constexpr uint32_t kMostKeys = 1024;  // of which everything is kept: larger models only take longer

template <class T>
void put(std::vector<uint8_t>& file, size_t at, T value) {
  std::memcpy(file.data() + at, &value, sizeof value);
}

void seal(std::vector<uint8_t>& file) {
  constexpr size_t kLeast = logfmt::kHeaderSize + logfmt::kCrcSize;
  if (file.size() < kLeast) return;
  file.resize(kLeast + (file.size() - kLeast) / 8 * 8);
  uint64_t json = 0;
  std::memcpy(&json, &file[24], sizeof json);
  json = std::min<uint64_t>(json / 8 * 8, file.size() - kLeast);
  put<uint32_t>(file, 20, decision::kAbiVersion);
  put<uint64_t>(file, 24, json);
  put<uint64_t>(file, 32, (file.size() - kLeast - json) / 8);
  put<uint32_t>(file, logfmt::kHeaderCrcOffset, replay::crc32c(replay::Bytes(file).first(logfmt::kHeaderCrcOffset)));
  const size_t end = file.size() - logfmt::kCrcSize;
  put<uint32_t>(file, end, replay::crc32c(replay::Bytes(file).first(end)));
}

/// The policy with that serial, for both sides.
struct Policy {
  ir::BoundPolicy bound;
  decision::Params params{};

  Policy(const replay::DecisionLog& log, uint32_t serial) {
    constexpr ir::Eviction kRules[] = {ir::Eviction::lru,  ir::Eviction::lfu,   ir::Eviction::freq_threshold,
                                       ir::Eviction::fifo, ir::Eviction::score, ir::Eviction::arc};
    const ir::Eviction rule = kRules[serial % std::size(kRules)];
    bound.name = "p";
    bound.shape = {log.num_layers, log.num_experts, log.top_k, 0};
    bound.eviction = rule;
    bound.capacity = std::min(6U, log.num_layers * log.num_experts);
    bound.strategy = ir::Strategy::gate;
    bound.budget = 2;
    bound.cancel_stale = false;
    bound.freq_threshold = 0.01;
    params.num_layers = log.num_layers;
    params.num_experts = log.num_experts;
    params.top_k = log.top_k;
    params.eviction = static_cast<uint32_t>(rule);
    params.capacity = bound.capacity;
    params.admit = decision::kAdmitAlways;
    params.protect_selected = 1;
    params.decay_interval = bound.decay_interval;
    params.freq_window = bound.freq_window;
    params.frequency_decay = bound.frequency_decay;
    params.score_ema_alpha = bound.score_ema_alpha;
    params.freq_threshold = bound.freq_threshold;
    params.strategy = static_cast<uint32_t>(decision::Strategy::gate);
    params.budget = bound.budget;
    params.monitor_window = bound.monitor_window;
  }
};

void explain(const replay::DecisionLog& log, const std::vector<Policy>& policies, uint64_t number) {
  const Result<replay::LoggedDispatch> found = replay::find(log, {number, {}});
  if (!found) return require(!found.error().message.empty(), "an empty message");
  const Result<ir::ExplainedDecision> explained =
      replay::explain(log, *found, [&](uint32_t which) -> Result<replay::RemadePolicy> {
        return replay::RemadePolicy{&policies[which].bound, &policies[which].params};
      });
  if (!explained) return require(!explained.error().message.empty(), "an empty message");
  const ir::BoundPolicy& policy = policies[found->policy].bound;
  require(explained->dispatch == number, "another dispatch");
  require(!print_text(*explained, policy, {}).empty(), "an explanation without words");
  require(!print_json(*explained, policy, {}).empty(), "no JSON");
}

void run(const std::vector<uint8_t>& file) {
  const Result<replay::DecisionLog> log = replay::read_decision_log(file);
  if (!log) return require(!log.error().message.empty(), "an empty message");
  if (uint64_t{log->num_layers} * log->num_experts > kMostKeys || log->records.empty()) return;
  std::vector<Policy> policies;
  for (const replay::LoggedPolicy& policy : log->policies) policies.emplace_back(*log, policy.serial);
  const std::vector<replay::LogRecord>& records = log->records;
  for (const size_t at : {size_t{0}, records.size() / 2, records.size() - 1})
    explain(*log, policies, records[at].number);
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> file(data, data + size);
  run(file);
  seal(file);
  run(file);
  return 0;
}
