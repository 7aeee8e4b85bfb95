// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/routing.h"

#include <cmath>

#include "runtime/last_error.h"

namespace moe::core {

moe_status check_routing(const moe_dispatch_args& args, uint32_t num_experts) {
  for (uint32_t token = 0; token < args.num_tokens; ++token) {
    const int32_t* ids = args.ids + size_t{token} * args.top_k;
    for (uint32_t k = 0; k < args.top_k; ++k) {
      if (static_cast<uint32_t>(ids[k]) >= num_experts) {
        return fail(MOE_INVALID, "ids[%u][%u] is %d, not in 0..%u", token, k, ids[k], num_experts - 1);
      }
      for (uint32_t earlier = 0; earlier < k; ++earlier) {
        if (ids[earlier] == ids[k]) return fail(MOE_INVALID, "token %u names expert %d twice", token, ids[k]);
      }
      if (!args.weights) continue;
      const float weight = args.weights[size_t{token} * args.top_k + k];
      if (!(weight >= 0) || std::isinf(weight)) {
        return fail(MOE_INVALID, "weights[%u][%u] is %g, not a finite number >= 0", token, k,
                    static_cast<double>(weight));
      }
    }
  }
  return MOE_OK;
}

moe_status check_probabilities(const moe_dispatch_args& args, uint32_t num_experts) {
  const size_t count = size_t{args.num_tokens} * num_experts;
  size_t wrong = 0;
  for (size_t i = 0; i < count; ++i) wrong += !(args.probabilities[i] >= 0 && args.probabilities[i] <= 1);
  if (wrong == 0) return MOE_OK;
  return fail(MOE_INVALID, "`probabilities` has %zu values that are not in 0..1", wrong);
}

}  // namespace moe::core
