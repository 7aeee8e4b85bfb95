// SPDX-License-Identifier: Apache-2.0
#include "replay/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace moe::replay {
namespace {

Error bad(std::string message) { return Error{Error::Kind::format, std::move(message)}; }

std::string place(const Trace& trace, size_t row) {
  return fmt::format("token {}, layer {}", row / trace.num_layers, row % trace.num_layers);
}

Result<void> check_shape(const Trace& trace) {
  if (trace.num_layers < 1 || trace.num_layers > 4096) {
    return bad(fmt::format("a trace has 1 to 4096 layers, not {}", trace.num_layers));
  }
  if (trace.num_experts < 1 || trace.num_experts > 65534) {
    return bad(fmt::format("a layer has 1 to 65534 experts, not {}", trace.num_experts));
  }
  if (trace.top_k < 1 || trace.top_k > trace.num_experts) {
    return bad(fmt::format("a token selects 1 to {} experts, not {}", trace.num_experts, trace.top_k));
  }
  return {};
}

Result<void> check_sizes(const Trace& trace) {
  const auto expect = [](size_t size, uint64_t wanted, bool optional, const char* name) -> Result<void> {
    if (size == wanted || (optional && size == 0)) return {};
    return bad(fmt::format("`{}` has {} entries, not {}", name, size, wanted));
  };
  const uint64_t tokens = trace.num_tokens;
  const uint64_t selections = num_entries(tokens, trace.num_layers, trace.top_k);
  const uint64_t guesses = num_entries(tokens, trace.num_layers, trace.lookahead_width);
  for (const Result<void>& result :
       {expect(trace.experts.size(), selections, false, "experts"),
        expect(trace.weights.size(), selections, true, "weights"),
        expect(trace.requests.size(), tokens, true, "requests"), expect(trace.steps.size(), tokens, true, "steps"),
        expect(trace.phases.size(), tokens, true, "phase"), expect(trace.lookahead.size(), guesses, false, "lookahead"),
        expect(trace.lookahead_probs.size(), guesses, false, "lookahead_prob")}) {
    if (!result) return result;
  }
  return {};
}

// Rows of `width` ids: in range, none twice in a row.
Result<void> check_ids(const Trace& trace, const std::vector<uint16_t>& ids, uint32_t width, const char* name) {
  std::vector<uint64_t> seen_in_row(trace.num_experts, 0);  // 1 + the last row that had the expert
  for (size_t i = 0; i < ids.size(); ++i) {
    const size_t row = i / width;
    if (ids[i] == kNoExpert) continue;
    if (ids[i] >= trace.num_experts) {
      return bad(fmt::format("`{}` at {}: id {} is beyond the {} experts", name, place(trace, row), ids[i],
                             trace.num_experts));
    }
    if (seen_in_row[ids[i]] == row + 1) {
      return bad(fmt::format("`{}` at {}: id {} is there twice", name, place(trace, row), ids[i]));
    }
    seen_in_row[ids[i]] = row + 1;
  }
  return {};
}

// Finite and within [0, high]; what stands beside "no expert" is not read.
Result<void> check_values(const Trace& trace, const std::vector<uint16_t>& ids, const std::vector<float>& values,
                          uint32_t width, double high, const char* name) {
  for (size_t i = 0; i < values.size(); ++i) {
    const double value = static_cast<double>(values[i]);
    if (ids[i] == kNoExpert || (value >= 0 && value <= high && std::isfinite(value))) continue;
    return bad(fmt::format("`{}` at {}: {} is out of range", name, place(trace, i / width), value));
  }
  return {};
}

Result<void> check_dropped(const Trace& trace) {
  for (size_t i = 0; i < trace.dropped.size(); ++i) {
    const DroppedLoad& dropped = trace.dropped[i];
    const bool in_order = i == 0 || trace.dropped[i - 1].dispatch <= dropped.dispatch;
    if (in_order && dropped.layer < trace.num_layers && dropped.expert < trace.num_experts) continue;
    return bad(fmt::format("`events` entry {}: [{}, {}, {}] is out of {}", i, dropped.dispatch, dropped.layer,
                           dropped.expert, in_order ? "range" : "order"));
  }
  return {};
}

}  // namespace

uint64_t num_entries(uint64_t tokens, uint64_t layers, uint64_t width) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(tokens, layers, &product) || __builtin_mul_overflow(product, width, &product)) {
    return UINT64_MAX;
  }
  return product;
}

uint64_t Trace::step_end(uint64_t first) const {
  uint64_t end = first + 1;
  while (!steps.empty() && end < num_tokens && steps[end] == steps[first]) ++end;
  return end;
}

uint64_t Trace::num_steps() const {
  uint64_t count = 0;
  for (uint64_t token = 0; token < num_tokens; token = step_end(token)) ++count;
  return count;
}

Result<void> check(const Trace& trace) {
  constexpr double kMaxWeight = 3.5e38;  // above every finite binary32
  for (const auto check_part : {check_shape, check_sizes, check_dropped}) {
    if (Result<void> result = check_part(trace); !result) return result;
  }
  if (Result<void> result = check_ids(trace, trace.experts, trace.top_k, "experts"); !result) return result;
  if (Result<void> result = check_values(trace, trace.experts, trace.weights, trace.top_k, kMaxWeight, "weights");
      !result) {
    return result;
  }
  if (trace.lookahead_width == 0) return {};
  if (Result<void> result = check_ids(trace, trace.lookahead, trace.lookahead_width, "lookahead"); !result)
    return result;
  return check_values(trace, trace.lookahead, trace.lookahead_probs, trace.lookahead_width, 1.0, "lookahead_prob");
}

}  // namespace moe::replay
