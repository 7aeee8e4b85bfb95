// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include "replay/trace.h"

namespace moe::replay {

/// Calls `take(std::span<const uint16_t>)` with the experts of each dispatch of a layer, each once, ascending, for the
/// steps that begin in tokens [first, last).
template <class Take>
void for_each_dispatch(const Trace& trace, uint32_t layer, uint64_t first, uint64_t last, Take&& take) {
  std::vector<uint16_t> experts;
  for (uint64_t token = first; token < last;) {
    const uint64_t end = trace.step_end(token);
    experts.clear();
    for (; token < end; ++token) {
      const auto begin = trace.experts.begin() + static_cast<ptrdiff_t>(trace.offset(token, layer));
      std::copy_if(begin, begin + trace.top_k, std::back_inserter(experts), [](uint16_t e) { return e != kNoExpert; });
    }
    std::sort(experts.begin(), experts.end());
    experts.erase(std::unique(experts.begin(), experts.end()), experts.end());
    take(std::span<const uint16_t>(experts));
  }
}

}  // namespace moe::replay
