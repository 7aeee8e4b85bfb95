// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/router.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "examples/engine/error.h"
#include "examples/engine/ops.h"

namespace engine {
namespace {

void softmax_checked(Matrix& logits) {
  const auto finite = [](float logit) { return std::isfinite(logit); };
  if (!std::all_of(logits.values.begin(), logits.values.end(), finite)) {
    throw data_error("a router's output is not finite; the checkpoint's weights are damaged");
  }
  softmax_rows(logits);
}

// The `count` largest, in order; equal ones by rising id, so that every engine chooses the same.
std::vector<int32_t> top(const float* values, size_t size, size_t count) {
  std::vector<int32_t> ids(size);
  std::iota(ids.begin(), ids.end(), 0);
  const auto better = [&](int32_t a, int32_t b) { return values[a] > values[b] || (values[a] == values[b] && a < b); };
  std::partial_sort(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(count), ids.end(), better);
  ids.resize(count);
  return ids;
}

}  // namespace

Routing route(Matrix logits, size_t top_k, bool renormalise) {
  softmax_checked(logits);
  Routing routing;
  routing.top_k = top_k;
  for (size_t token = 0; token < logits.rows; ++token) {
    const float* probabilities = logits.row(token);
    float sum = 0;
    for (const int32_t id : top(probabilities, logits.cols, top_k)) {
      routing.ids.push_back(id);
      routing.weights.push_back(probabilities[id]);
      sum += probabilities[id];
    }
    if (renormalise)
      std::for_each(routing.weights.end() - static_cast<ptrdiff_t>(top_k), routing.weights.end(),
                    [&](float& w) { w /= sum; });
  }
  routing.probabilities = std::move(logits);
  return routing;
}

Forecast forecast(Matrix logits, size_t count) {
  softmax_checked(logits);
  float* largest = logits.row(0);
  for (size_t token = 1; token < logits.rows; ++token) {
    for (size_t e = 0; e < logits.cols; ++e) largest[e] = std::max(largest[e], logits.row(token)[e]);
  }
  Forecast result;
  result.ids = top(largest, logits.cols, std::min(count, logits.cols));
  for (const int32_t id : result.ids) result.probabilities.push_back(largest[id]);
  return result;
}

}  // namespace engine
