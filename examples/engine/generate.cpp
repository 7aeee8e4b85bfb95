// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/generate.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "examples/engine/error.h"

namespace engine {
namespace {

double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

Matrix last_token(const Matrix& hidden) {
  Matrix row(1, hidden.cols);
  std::copy_n(hidden.row(hidden.rows - 1), hidden.cols, row.row(0));
  return row;
}

}  // namespace

Generation generate(Model& model, std::span<const int32_t> prompt, const GenerateOptions& options,
                    const std::function<void(std::span<const float>)>& on_logits) {
  const Config& config = model.config();
  if (prompt.empty()) throw usage_error("the prompt has no tokens");
  if (prompt.size() > config.max_positions || options.num_tokens > config.max_positions - prompt.size()) {
    throw usage_error(fmt::format("a prompt of {} tokens and {} to generate are more than the model's {} positions",
                                  prompt.size(), options.num_tokens, config.max_positions));
  }
  Generation result;
  if (options.num_tokens == 0) return result;

  Sampler sampler(options.sampler);
  KvCache cache;
  const auto choose = [&](const Matrix& hidden) {
    const Matrix logits = model.logits(last_token(hidden));
    if (on_logits) on_logits(logits.values);
    result.token_ids.push_back(sampler.choose(logits.values));
  };
  const auto ended = [&] {
    const auto& eos = config.eos_ids;
    return result.token_ids.size() >= options.num_tokens ||
           (options.stop_at_eos && std::find(eos.begin(), eos.end(), result.token_ids.back()) != eos.end());
  };

  const auto start = std::chrono::steady_clock::now();
  choose(model.forward(prompt, MOE_PHASE_PREFILL, cache));
  result.prefill_ms = ms_since(start);
  while (!ended()) {
    const int32_t last[] = {result.token_ids.back()};
    choose(model.forward(last, MOE_PHASE_DECODE, cache));
  }
  result.decode_ms = ms_since(start) - result.prefill_ms;
  return result;
}

}  // namespace engine
