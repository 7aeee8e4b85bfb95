// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "examples/engine/model.h"
#include "examples/engine/sampler.h"

namespace engine {

struct GenerateOptions {
  size_t num_tokens = 32;
  bool stop_at_eos = false;  ///< the eos token is then the last one generated
  SamplerOptions sampler;
};

struct Generation {
  std::vector<int32_t> token_ids;
  double prefill_ms = 0;  ///< until the first token was chosen
  double decode_ms = 0;   ///< from there to the last
};

/// Continues `prompt`. `on_logits`, if given, sees the logits each token was chosen from, in order.
/// Errors: usage (no prompt, or more tokens than the model has positions), and those of Model::forward.
Generation generate(Model& model, std::span<const int32_t> prompt, const GenerateOptions& options,
                    const std::function<void(std::span<const float>)>& on_logits = {});

}  // namespace engine
