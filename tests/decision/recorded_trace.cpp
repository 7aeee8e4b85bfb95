// SPDX-License-Identifier: Apache-2.0
#include "tests/decision/recorded_trace.h"

#include <algorithm>

#include "replay/load_trace.h"

namespace moe::test {

std::optional<RecordedTrace> RecordedTrace::load(const std::string& path) {
  Result<replay::Trace> trace = replay::load_trace(path);
  if (!trace.ok()) return std::nullopt;
  return RecordedTrace(std::move(trace).value());
}

ir::ModelShape RecordedTrace::shape() const { return {trace_.num_layers, trace_.num_experts, trace_.top_k, 0}; }

RandomDispatch RecordedTrace::dispatch(uint64_t token, uint32_t layer) const {
  RandomDispatch d;
  d.layer = layer;
  d.allow_padding = true;
  const size_t at = trace_.offset(token, layer);
  for (size_t i = at; i < at + trace_.top_k; ++i) {
    d.ids.push_back(trace_.experts[i]);
    if (!trace_.weights.empty()) d.weights.push_back(trace_.weights[i]);
  }
  if (!trace_.requests.empty()) d.requests = {trace_.requests[token]};
  if (!trace_.phases.empty() && trace_.phases[token] == 0) d.phase = ir::Phase::prefill;
  if (trace_.lookahead_width == 0) return d;
  RandomDispatch::Hint hint{(layer + 1) % trace_.num_layers, {}, {}};
  const size_t first = trace_.lookahead_offset(token, layer);
  for (size_t i = first; i < first + trace_.lookahead_width; ++i) {
    if (trace_.lookahead[i] == replay::kNoExpert) continue;
    hint.ids.push_back(trace_.lookahead[i]);
    hint.probabilities.push_back(trace_.lookahead_probs.empty() ? 1.0f : trace_.lookahead_probs[i]);
  }
  d.hints.push_back(std::move(hint));
  return d;
}

std::vector<RandomDispatch> RecordedTrace::slice(Dice& dice, uint32_t tokens) const {
  const uint64_t length = std::min<uint64_t>(tokens, trace_.num_tokens);
  const uint64_t first = dice.below(static_cast<uint32_t>(trace_.num_tokens - length + 1));
  std::vector<RandomDispatch> dispatches;
  for (uint64_t token = first; token < first + length; ++token) {
    for (uint32_t layer = 0; layer < trace_.num_layers; ++layer) dispatches.push_back(dispatch(token, layer));
  }
  return dispatches;
}

}  // namespace moe::test
