// SPDX-License-Identifier: Apache-2.0
// Real routing as the models and the policies see it: dispatches cut out of a trace.
#pragma once
#include <vector>

#include "replay/trace.h"
#include "tests/oracles/system.h"

namespace moe::oracle {

/// How a trace becomes dispatches.
struct Cut {
  uint32_t num_layers = 8;       ///< the first ones; at most the trace's
  uint32_t num_tokens = 300;     ///< at most the trace's
  uint32_t top_k = 0;            ///< keep so many experts of a token, their weights made to sum to 1; 0: as they are
  uint32_t request_tokens = 20;  ///< a new request every so many tokens
  uint32_t prompt_tokens = 0;    ///< of each request: its first tokens are one prefill dispatch per layer
};

struct Routing {
  Shape shape;
  std::vector<Dispatch> dispatches;
  std::vector<std::vector<double>> frequency;  ///< [layer][expert]: share of the layer's selections in this cut
};

/// Guesses are the trace's own (the next layer's router applied early); a trace without them gets the next layer's
/// experts of the token before, with their weights: a guess that is right often enough.
Routing cut(const replay::Trace& trace, const Cut& how);

/// All pairs, most frequent first, then by layer and expert.
std::vector<Pair> by_frequency(const Routing& routing);

}  // namespace moe::oracle
