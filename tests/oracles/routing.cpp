// SPDX-License-Identifier: Apache-2.0
#include "tests/oracles/routing.h"

namespace moe::oracle {
namespace {

struct Cutter {
  const replay::Trace& trace;
  uint32_t num_layers;
  uint32_t top_k;
  bool renormalise;

  std::vector<uint32_t> ids(uint64_t token, uint32_t layer) const {
    const auto begin = trace.experts.begin() + static_cast<std::ptrdiff_t>(trace.offset(token, layer));
    return {begin, begin + top_k};
  }

  std::vector<double> weights(uint64_t token, uint32_t layer) const {
    const auto begin = trace.weights.begin() + static_cast<std::ptrdiff_t>(trace.offset(token, layer));
    std::vector<double> list(begin, begin + top_k);
    double sum = 0;
    for (double w : list) sum += w;
    // Rounded to float: what a policy is given must be what the model is given.
    for (double& w : list) w = renormalise ? static_cast<double>(static_cast<float>(w / sum)) : w;
    return list;
  }

  std::vector<Guess> guesses(uint64_t token, uint32_t layer) const {
    std::vector<Guess> list;
    if (layer + 1 == num_layers) return list;
    if (trace.lookahead_width == 0) {
      if (token == 0) return list;
      const auto experts = ids(token - 1, layer + 1);
      const auto heavy = weights(token - 1, layer + 1);
      for (size_t k = 0; k < experts.size(); ++k) list.push_back({experts[k], std::min(heavy[k], 1.0)});
      return list;
    }
    const size_t offset = trace.lookahead_offset(token, layer);
    for (uint32_t m = 0; m < trace.lookahead_width; ++m) {
      if (trace.lookahead[offset + m] == replay::kNoExpert) continue;
      list.push_back({trace.lookahead[offset + m], trace.lookahead_probs[offset + m]});
    }
    return list;
  }
};

}  // namespace

Routing cut(const replay::Trace& trace, const Cut& how) {
  const uint32_t top_k = how.top_k == 0 ? trace.top_k : std::min(how.top_k, trace.top_k);
  const Cutter cutter{trace, std::min(how.num_layers, trace.num_layers), top_k, how.top_k != 0};
  Routing routing;
  routing.shape = {cutter.num_layers, trace.num_experts, top_k};
  routing.frequency.assign(cutter.num_layers, std::vector<double>(trace.num_experts, 0.0));
  const uint64_t num_tokens = std::min<uint64_t>(how.num_tokens, trace.num_tokens);
  for (uint64_t token = 0; token < num_tokens;) {
    const uint64_t place = token % how.request_tokens;
    const bool prompt = place == 0 && how.prompt_tokens > 0;
    const uint64_t end = std::min<uint64_t>(token + (prompt ? how.prompt_tokens : 1), num_tokens);
    for (uint32_t layer = 0; layer < cutter.num_layers; ++layer) {
      Dispatch dispatch;
      dispatch.layer = layer;
      dispatch.prefill = prompt;
      dispatch.request = static_cast<uint32_t>(token / how.request_tokens);
      for (uint64_t t = token; t < end; ++t) {
        dispatch.ids.push_back(cutter.ids(t, layer));
        dispatch.weights.push_back(cutter.weights(t, layer));
        const auto guesses = cutter.guesses(t, layer);
        if (!guesses.empty()) dispatch.guesses.push_back(guesses);
        for (uint32_t e : dispatch.ids.back())
          routing.frequency[layer][e] += 1.0 / static_cast<double>(num_tokens * top_k);
      }
      routing.dispatches.push_back(dispatch);
    }
    token = end;
  }
  return routing;
}

std::vector<Pair> by_frequency(const Routing& routing) {
  std::vector<Pair> pairs;
  for (uint32_t layer = 0; layer < routing.shape.num_layers; ++layer) {
    for (uint32_t e = 0; e < routing.shape.num_experts; ++e) pairs.push_back({layer, e});
  }
  std::stable_sort(pairs.begin(), pairs.end(), [&](const Pair& a, const Pair& b) {
    return routing.frequency[a.layer][a.expert] > routing.frequency[b.layer][b.expert];
  });
  return pairs;
}

}  // namespace moe::oracle
