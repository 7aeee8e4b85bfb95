// SPDX-License-Identifier: Apache-2.0
#include "ir/allocate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace moe::ir {
namespace {

// One round among the layers that are not full: each gets the whole part of its quota. When a cap cut somebody short,
// what is left goes into the next round; otherwise it goes to the largest fractions, one slot each.
void share_out(uint64_t& rest, uint32_t max_capacity, const std::vector<double>& signal, std::vector<uint32_t>& slots) {
  std::vector<size_t> open;
  double sum = 0;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] >= max_capacity) continue;
    open.push_back(i);
    sum += signal[i];
  }
  const double whole = static_cast<double>(rest);
  std::vector<double> fraction(slots.size(), 0);
  bool capped = false;
  for (const size_t i : open) {
    const double quota = sum > 0 ? whole * signal[i] / sum : whole / static_cast<double>(open.size());
    const uint64_t room = max_capacity - slots[i];
    const auto wanted = static_cast<uint64_t>(std::floor(quota));
    const uint64_t part = std::min({wanted, room, rest});
    capped = capped || wanted > room;
    fraction[i] = quota - std::floor(quota);
    slots[i] += static_cast<uint32_t>(part);
    rest -= part;
  }
  if (capped) return;
  std::stable_sort(open.begin(), open.end(), [&](size_t a, size_t b) { return fraction[a] > fraction[b]; });
  for (const size_t i : open) {
    if (rest == 0) return;
    if (slots[i] >= max_capacity) continue;
    ++slots[i];
    --rest;
  }
}

}  // namespace

std::vector<uint32_t> allocate(const AllocationLimits& limits, const std::vector<double>& signal) {
  std::vector<uint32_t> slots(signal.size(), limits.min_capacity);
  std::vector<double> weight(signal.size(), 0);
  for (size_t i = 0; i < signal.size(); ++i) weight[i] = std::isfinite(signal[i]) && signal[i] > 0 ? signal[i] : 0;
  const uint64_t used = uint64_t{limits.min_capacity} * signal.size();
  const uint64_t most = uint64_t{limits.max_capacity} * signal.size();
  const uint64_t total = std::min(limits.total, most);
  uint64_t rest = total > used ? total - used : 0;
  while (rest > 0) share_out(rest, limits.max_capacity, weight, slots);
  return slots;
}

}  // namespace moe::ir
