// SPDX-License-Identifier: Apache-2.0
#include "ir/policy.h"

#include <algorithm>

namespace moe::ir {

bool StrategyChain::has(Strategy s) const { return std::find(links.begin(), links.end(), s) != links.end(); }

double bits_per_weight(Dtype dtype, uint64_t group_size) {
  const double of_scales = 32.0 / static_cast<double>(group_size);
  switch (dtype) {
    case Dtype::f32:
      return 32;
    case Dtype::f8_e4m3:
      return 8;
    case Dtype::int8:
      return 8 + of_scales;
    case Dtype::int4:
      return 4 + of_scales;
    case Dtype::int2:
      return 2 + of_scales;
    case Dtype::as_stored:
    case Dtype::bf16:
    case Dtype::f16:
      break;
  }
  return 16;
}

bool rules_lower_tiers(const EvictionRule& rule) {
  return rule.kind != Eviction::score && rule.kind != Eviction::freq_threshold && rule.kind != Eviction::segmented;
}

const Band* Policy::band_of(uint32_t layer) const {
  const auto has_layer = [&](const Band& band) { return band.first <= layer && layer <= band.last; };
  const auto found = std::find_if(bands.begin(), bands.end(), has_layer);
  return found == bands.end() ? nullptr : &*found;
}

bool operator==(const Policy& a, const Policy& b) {
  return a.name == b.name && a.params == b.params && a.cache == b.cache && a.prefetch == b.prefetch &&
         a.schedule == b.schedule && a.monitor == b.monitor && a.learn == b.learn && a.per_layer == b.per_layer &&
         a.tiers == b.tiers && a.memory == b.memory && a.bands == b.bands && a.phases == b.phases &&
         a.adapt == b.adapt && a.choose == b.choose && a.alternatives == b.alternatives;
}

}  // namespace moe::ir
