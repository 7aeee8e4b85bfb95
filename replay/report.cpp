// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "replay/replayer.h"

namespace moe::replay {
namespace {

using Json = nlohmann::ordered_json;

// `expert_bytes` 0: unknown.
Json counts_json(const Counts& counts, uint64_t expert_bytes) {
  return {{"dispatches", counts.dispatches},
          {"accesses", counts.accesses},
          {"hits", counts.hits},
          {"misses", counts.misses()},
          {"late_hits", 0},  // decisions alone: a replayed load has always arrived
          {"hit_rate", counts.hit_rate()},
          {"selections", counts.selections},
          {"evictions", counts.evictions},
          {"loads", counts.loads},
          {"streams", counts.streams},
          {"cpu", counts.cpu},
          {"degraded", counts.degraded},
          {"shared", counts.shared},
          {"skipped", counts.skipped},
          {"dropped", counts.dropped},
          {"tier_moves", counts.tier_moves},
          {"prefetched", counts.prefetched},
          {"prefetch_used", counts.prefetch_used},
          {"prefetch_accuracy", counts.prefetch_accuracy()},
          {"prefetch_coverage", counts.prefetch_coverage()},
          {"bytes_loaded", expert_bytes != 0 ? Json(counts.transfers() * expert_bytes) : Json(nullptr)}};
}

// Only where precision is decided expert by expert.
bool has_ladder(const ReplayResult& result) {
  return std::any_of(result.copies.begin(), result.copies.end(), [](uint64_t n) { return n != 0; });
}

Json result_json(const ReplayResult& result) {
  Json json = {{"policy", result.policy}, {"tokens", result.tokens}};
  json.update(counts_json(result.total, result.expert_bytes));
  json["rules_fired"] = result.rules_fired;
  if (has_ladder(result)) {
    Json copies = Json::object();
    for (size_t i = 0; i < result.copies.size(); ++i) {
      if (result.copies[i] != 0) copies[std::string(to_word(static_cast<ir::Dtype>(i)))] = result.copies[i];
    }
    json["copies"] = std::move(copies);
    json["raised"] = result.raised;
  }
  json["layers"] = Json::array();
  for (size_t layer = 0; layer < result.layers.size(); ++layer) {
    Json entry = {{"layer", layer}};
    entry.update(counts_json(result.layers[layer], result.expert_bytes));
    json["layers"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace

std::string print_json(std::span<const ReplayResult> results) {
  Json policies = Json::array();
  for (const ReplayResult& result : results) policies.push_back(result_json(result));
  const Json json = {{"policies", std::move(policies)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace moe::replay
