// SPDX-License-Identifier: Apache-2.0
#include "ir/policy.h"

#include <algorithm>

namespace moe::ir {

bool StrategyChain::has(Strategy s) const { return std::find(links.begin(), links.end(), s) != links.end(); }

bool operator==(const Policy& a, const Policy& b) {
  return a.name == b.name && a.params == b.params && a.cache == b.cache && a.prefetch == b.prefetch &&
         a.schedule == b.schedule && a.monitor == b.monitor && a.learn == b.learn && a.per_layer == b.per_layer &&
         a.tiers == b.tiers && a.memory == b.memory && a.bands == b.bands && a.phases == b.phases &&
         a.adapt == b.adapt && a.choose == b.choose && a.alternatives == b.alternatives;
}

}  // namespace moe::ir
