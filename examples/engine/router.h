// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "examples/engine/matrix.h"

namespace engine {

/// A MoE layer's choice for a batch of tokens, in the arrays that moe_dispatch takes.
struct Routing {
  size_t top_k = 0;
  std::vector<int32_t> ids;    ///< [n][top_k], by falling probability, equal ones by rising id
  std::vector<float> weights;  ///< [n][top_k], the probabilities, scaled to sum to 1 if the model says so
  Matrix probabilities;        ///< [n, num_experts]
};

/// Softmax over `logits` [n, num_experts] and the best `top_k` of each row.
/// Errors: data (a logit is not finite: the checkpoint is damaged).
Routing route(Matrix logits, size_t top_k, bool renormalise);

/// What a later layer will probably need, in the arrays that moe_hint takes.
struct Forecast {
  std::vector<int32_t> ids;          ///< by falling probability, equal ones by rising id
  std::vector<float> probabilities;  ///< each the largest over the batch's tokens
};

/// The `count` experts that some token of the batch most probably chooses, from a router's `logits`.
Forecast forecast(Matrix logits, size_t count);

}  // namespace engine
