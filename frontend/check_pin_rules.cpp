// SPDX-License-Identifier: Apache-2.0
// Pins against each other and against the capacity. Ranges are never enumerated: `0..65533` costs as much as `0`.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "frontend/limits.h"
#include "frontend/lower.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

using Range = ir::Pin::Range;

// Beyond this many pins the pairwise rules would take quadratic time.
constexpr size_t kMaxPinsCompared = 1024;

/// Disjoint ranges; counts what they hold together.
class RangeSet {
 public:
  void add(Range range) { ranges_.push_back(range); }

  uint64_t count() {
    std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
    uint64_t total = 0;
    uint64_t next = 0;  // the first number not counted yet
    for (const Range& range : ranges_) {
      const uint64_t from = std::max<uint64_t>(range.first, next);
      if (range.last < from) continue;
      total += range.last - from + 1;
      next = uint64_t{range.last} + 1;
    }
    return total;
  }

 private:
  std::vector<Range> ranges_;
};

bool overlap(const Range& a, const Range& b) { return a.first <= b.last && b.first <= a.last; }

// Of `hottest` nobody knows before a profile is read.
bool same_expert(const ir::Pin& a, const ir::Pin& b) {
  if (a.kind == ir::Pin::Kind::all || b.kind == ir::Pin::Kind::all) return true;
  if (a.kind == ir::Pin::Kind::hottest || b.kind == ir::Pin::Kind::hottest) return false;
  const bool same_layer = !a.layers || !b.layers || overlap(*a.layers, *b.layers);
  return same_layer && overlap(a.experts, b.experts);
}

// Where the set of pinned experts may change: the first layer of each range, and the one after its last.
std::vector<uint32_t> layer_steps(const std::vector<ir::Sourced<ir::Pin>>& pins, uint32_t num_layers) {
  std::vector<uint32_t> steps = {0};
  for (const auto& pin : pins) {
    if (!pin.value.layers) continue;
    steps.push_back(pin.value.layers->first);
    if (pin.value.layers->last + 1 < num_layers) steps.push_back(pin.value.layers->last + 1);
  }
  std::sort(steps.begin(), steps.end());
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  return steps;
}

/// Lower bounds: `all` and shares of the experts are not counted, only a model knows them.
struct PinCount {
  uint64_t most_in_layer = 0;
  uint64_t all = 0;      ///< of a model that has no more layers than the pins name
  uint64_t hottest = 0;  ///< the largest hottest(N): whichever they are, so many leave no room
};

PinCount count_pins(const std::vector<ir::Sourced<ir::Pin>>& pins) {
  uint32_t num_layers = 1;
  for (const auto& pin : pins) {
    if (pin.value.layers) num_layers = std::max(num_layers, pin.value.layers->last + 1);
  }
  const std::vector<uint32_t> steps = layer_steps(pins, num_layers);
  PinCount count;
  for (size_t i = 0; i < steps.size(); ++i) {
    RangeSet experts;
    for (const auto& pin : pins) {
      const bool here =
          !pin.value.layers || (pin.value.layers->first <= steps[i] && steps[i] <= pin.value.layers->last);
      if (here && pin.value.kind == ir::Pin::Kind::experts) experts.add(pin.value.experts);
    }
    const uint32_t end = i + 1 < steps.size() ? steps[i + 1] : num_layers;
    const uint64_t in_layer = experts.count();
    count.most_in_layer = std::max(count.most_in_layer, in_layer);
    count.all += in_layer * (end - steps[i]);
  }
  for (const auto& pin : pins) {
    if (pin.value.kind == ir::Pin::Kind::hottest) count.hottest = std::max(count.hottest, pin.value.hottest.amount);
  }
  return count;
}

}  // namespace

void check_pins_repeat(const std::vector<ir::Sourced<ir::Pin>>& pins, ir::Diagnostics& diagnostics) {
  if (pins.size() > kMaxPinsCompared) return;
  for (size_t i = 1; i < pins.size() && !too_many(diagnostics); ++i) {
    const auto first = std::find_if(pins.begin(), pins.begin() + static_cast<ptrdiff_t>(i),
                                    [&](const auto& pin) { return same_expert(pin.value, pins[i].value); });
    if (first == pins.begin() + static_cast<ptrdiff_t>(i)) continue;
    auto& warning = diagnostics.warning("MOE2105", pins[i].span, "an expert is pinned twice", "remove one of the pins");
    warning.related_span = first->span;
    warning.related_message = "it is pinned here already";
  }
}

// More pins than slots: the surplus could never be loaded. As many: every other expert streams.
void check_pins_fit(const ir::CacheRule& cache, ir::Diagnostics& diagnostics) {
  if (cache.pins.empty() || cache.pins.size() > kMaxPinsCompared) return;
  if (cache.capacity.span.is_default() || cache.capacity.value.kind != ir::Capacity::Kind::slots) return;
  const PinCount count = count_pins(cache.pins);
  const bool per_layer = cache.scope.value == ir::Scope::layer;
  const uint64_t num_pinned = per_layer ? count.most_in_layer : std::max(count.all, count.hottest);
  const uint64_t num_slots = cache.capacity.value.amount;
  if (num_pinned > num_slots) {
    diagnostics.error(
        "MOE2103", cache.capacity.span,
        fmt::format("capacity is smaller than the {} pinned experts{}", num_pinned, per_layer ? " of one layer" : ""),
        fmt::format("raise `capacity` to at least {}", num_pinned));
  } else if (num_pinned == num_slots) {
    diagnostics.warning("MOE2104", cache.capacity.span, "the pinned experts fill the cache: every other expert streams",
                        fmt::format("raise `capacity` above {}", num_pinned));
  }
}

void check_pins_in_bands(const ir::Policy& policy, ir::Diagnostics& diagnostics) {
  for (const ir::Band& band : policy.bands) {
    if (!band.pins || too_many(diagnostics)) continue;
    check_pins_repeat(*band.pins, diagnostics);
    if (policy.cache.scope.value != ir::Scope::layer) continue;  // what the other layers pin counts too
    ir::CacheRule cache;
    cache.scope = policy.cache.scope;
    cache.capacity = policy.cache.capacity;
    for (const ir::Assignment& assignment : band.overrides) {
      if (assignment.key == ir::Key::capacity)
        cache.capacity = {std::get<ir::Capacity>(assignment.value), assignment.span};
    }
    cache.pins = *band.pins;
    check_pins_fit(cache, diagnostics);
  }
}

}  // namespace moe::frontend
