// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "examples/engine/error.h"

namespace engine {

Pcg32::Pcg32(uint64_t seed) {
  next();
  state_ += seed;
  next();
}

uint32_t Pcg32::next() {
  constexpr uint64_t kMultiplier = 6364136223846793005U, kIncrement = 1442695040888963407U;
  const uint64_t old = state_;
  state_ = old * kMultiplier + kIncrement;
  const auto shifted = static_cast<uint32_t>(((old >> 18) ^ old) >> 27);
  const auto rotation = static_cast<uint32_t>(old >> 59);
  return shifted >> rotation | shifted << ((32 - rotation) % 32);
}

int32_t Sampler::choose(std::span<const float> logits) {
  if (!std::all_of(logits.begin(), logits.end(), [](float logit) { return std::isfinite(logit); })) {
    throw data_error("the logits are not finite; the checkpoint's weights are damaged");
  }
  const auto largest = std::max_element(logits.begin(), logits.end());  // the first of equals
  if (options_.temperature == 0) return static_cast<int32_t>(largest - logits.begin());

  // Falling probability, then rising id: the order is part of what a seed means.
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  std::vector<double> cumulative;
  double total = 0;
  for (const int32_t id : ids) {
    total += std::exp((double{logits[static_cast<size_t>(id)]} - *largest) / options_.temperature);
    cumulative.push_back(total);
  }
  const auto kept = std::lower_bound(cumulative.begin(), cumulative.end(), options_.top_p * total);
  const double kept_total = kept == cumulative.end() ? total : *kept;
  const auto chosen = std::upper_bound(cumulative.begin(), cumulative.end(), random_.uniform() * kept_total);
  return ids[static_cast<size_t>(std::min(chosen - cumulative.begin(), std::ssize(cumulative) - 1))];
}

}  // namespace engine
