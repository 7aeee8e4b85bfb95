// SPDX-License-Identifier: Apache-2.0
#include "ir/bind_capacity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace moe::ir {
namespace {

// floor(ratio * experts), at least 1. The tolerance is for 29% of 100, which binary64 makes 28.999999999999996.
uint64_t slots_of_ratio(double ratio, uint64_t experts) {
  const double exact = ratio * static_cast<double>(experts);
  return std::max<uint64_t>(1, static_cast<uint64_t>(std::floor(exact * (1 + 1e-12))));
}

// What one expert takes: the model's own size, else what the policy writes; nullopt when neither says.
std::optional<double> expert_bytes(const BindContext& context) {
  if (context.shape.expert_bytes != 0) return static_cast<double>(context.shape.expert_bytes);
  const Sourced<double>& size_gb = context.policy.cache.expert_size_gb;
  if (!size_gb.span.is_default()) return size_gb.value * 1e9;
  return std::nullopt;
}

// How many experts `bytes` hold. Integers where the size is one: binary64 cannot hold every 64-bit number of bytes.
uint64_t experts_in(uint64_t bytes, const BindContext& context) {
  if (context.shape.expert_bytes != 0) return bytes / context.shape.expert_bytes;
  const double count = std::floor(static_cast<double>(bytes) / *expert_bytes(context));
  return count >= 0x1p62 ? uint64_t{1} << 62 : static_cast<uint64_t>(count);
}

bool require_expert_size(const BindContext& context, std::string_view what) {
  if (expert_bytes(context)) return true;
  context.diagnostics.error("MOE2202", context.policy.cache.capacity.span,
                            fmt::format("{} needs the size of an expert, which the model does not say", what),
                            fmt::format("give the model with its size (`{}x{}x{}:BYTES`), or write `expert_size_gb`",
                                        context.shape.num_layers, context.shape.num_experts, context.shape.top_k));
  return false;
}

std::optional<uint64_t> slots_of_bytes(const BindContext& context) {
  const Sourced<Capacity>& capacity = context.policy.cache.capacity;
  if (!require_expert_size(context, "`capacity` in bytes")) return std::nullopt;
  const uint64_t slots = experts_in(capacity.value.amount, context);
  if (slots >= 1) return slots;
  context.diagnostics.error("MOE2201", capacity.span,
                            fmt::format("`capacity` of {} bytes does not hold one expert of {} bytes",
                                        capacity.value.amount, *expert_bytes(context)),
                            fmt::format("raise `capacity` to at least {}B", std::ceil(*expert_bytes(context))));
  return std::nullopt;
}

std::optional<uint64_t> slots_of_auto(const BindContext& context) {
  const SourceSpan span = context.policy.cache.capacity.span;
  if (context.options.fast_bytes == 0) {
    context.diagnostics.error("MOE2203", span, "`capacity = auto` needs to know how much fast memory there is",
                              "say which device the policy is for, or write a capacity such as `25%`");
    return std::nullopt;
  }
  if (!require_expert_size(context, "`capacity = auto`")) return std::nullopt;
  const uint64_t held = experts_in(context.options.fast_bytes, context);
  const uint64_t instances = context.per_layer() ? context.shape.num_layers : 1;
  const uint64_t cached = held > context.options.streaming_slots ? held - context.options.streaming_slots : 0;
  if (cached / instances >= 1) return cached / instances;
  context.diagnostics.error(
      "MOE2204", span,
      fmt::format(
          "`capacity = auto` leaves no place: {} bytes hold {} experts, of which {} are for streaming and {} {} needed "
          "for the cache",
          context.options.fast_bytes, held, context.options.streaming_slots, instances, instances == 1 ? "is" : "are"),
      fmt::format(
          "give at least {:.0f} bytes of fast memory",
          std::ceil(static_cast<double>(context.options.streaming_slots + instances) * *expert_bytes(context))));
  return std::nullopt;
}

std::optional<uint64_t> wanted_slots(const BindContext& context) {
  if (context.options.capacity_slots) {
    if (*context.options.capacity_slots >= 1) return *context.options.capacity_slots;
    context.diagnostics.error("MOE2214", context.policy.cache.capacity.span,
                              "a capacity of 0 slots was asked for in place of the policy's",
                              "ask for at least 1 slot");
    return std::nullopt;
  }
  const Capacity& capacity = context.policy.cache.capacity.value;
  switch (capacity.kind) {
    case Capacity::Kind::slots:
      return capacity.amount;
    case Capacity::Kind::ratio:
      return slots_of_ratio(capacity.ratio, context.experts_per_instance());
    case Capacity::Kind::bytes:
      return slots_of_bytes(context);
    case Capacity::Kind::automatic:
      return slots_of_auto(context);
  }
  return std::nullopt;
}

bool check_pin_in_model(const Sourced<Pin>& pin, const BindContext& context) {
  const ModelShape& shape = context.shape;
  if (pin.value.experts.last >= shape.num_experts) {
    context.diagnostics.error("MOE2205", pin.span,
                              fmt::format("pinned expert {} is beyond the model, whose layers have {} experts",
                                          pin.value.experts.last, shape.num_experts),
                              fmt::format("pin experts 0 to {}", shape.num_experts - 1));
    return false;
  }
  if (pin.value.layers && pin.value.layers->last >= shape.num_layers) {
    context.diagnostics.error("MOE2205", pin.span,
                              fmt::format("pinned layer {} is beyond the model, which has {} layers",
                                          pin.value.layers->last, shape.num_layers),
                              fmt::format("pin in layers 0 to {}", shape.num_layers - 1));
    return false;
  }
  return true;
}

// The experts pinned in one layer as ascending ranges that do not overlap.
std::vector<Pin::Range> pinned_in_layer(const CacheRule& cache, uint32_t layer) {
  std::vector<Pin::Range> ranges;
  for (const Sourced<Pin>& pin : cache.pins) {
    const std::optional<Pin::Range>& layers = pin.value.layers;
    if (!layers || (layers->first <= layer && layer <= layers->last)) ranges.push_back(pin.value.experts);
  }
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Pin::Range> merged;
  for (const Pin::Range& range : ranges) {
    if (!merged.empty() && range.first <= merged.back().last) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

uint64_t count(const std::vector<Pin::Range>& ranges) {
  uint64_t total = 0;
  for (const Pin::Range& range : ranges) total += uint64_t{range.last} - range.first + 1;
  return total;
}

// Pins of the fullest instance, and which layer that is under scope = layer.
struct PinLoad {
  uint64_t num_pins = 0;
  uint32_t layer = 0;
};

PinLoad fullest_instance(const BindContext& context) {
  PinLoad fullest;
  uint64_t total = 0;
  for (uint32_t layer = 0; layer < context.shape.num_layers; ++layer) {
    const uint64_t in_layer = count(pinned_in_layer(context.policy.cache, layer));
    total += in_layer;
    if (in_layer > fullest.num_pins) fullest = {in_layer, layer};
  }
  return context.per_layer() ? fullest : PinLoad{total, 0};
}

bool check_pins_fit(const BindContext& context, uint32_t capacity) {
  const PinLoad load = fullest_instance(context);
  const SourceSpan span = context.policy.cache.pins.front().span;
  const std::string where = context.per_layer() ? fmt::format(" in layer {}", load.layer) : "";
  if (load.num_pins > capacity) {
    context.diagnostics.error(
        "MOE2206", span,
        fmt::format("{} experts are pinned{}, but `capacity` is {} slots", load.num_pins, where, capacity),
        fmt::format("raise `capacity` to more than {}", load.num_pins));
    return false;
  }
  if (load.num_pins == capacity && capacity < context.experts_per_instance()) {
    context.diagnostics.warning(
        "MOE2207", span,
        fmt::format("the {} pinned experts{} fill the cache, so every miss streams", load.num_pins, where),
        fmt::format("raise `capacity` to more than {}", load.num_pins));
  }
  return true;
}

}  // namespace

std::optional<uint32_t> bind_capacity(const BindContext& context) {
  const std::optional<uint64_t> slots = wanted_slots(context);
  if (!slots) return std::nullopt;
  const uint64_t experts = context.experts_per_instance();
  const Capacity::Kind kind = context.policy.cache.capacity.value.kind;
  const bool counted = context.options.capacity_slots || kind == Capacity::Kind::slots;
  if (counted && *slots > experts) {
    context.diagnostics.warning(
        "MOE2213", context.policy.cache.capacity.span,
        fmt::format("a capacity of {} slots is more than the {} experts of {}, all of which stay resident", *slots,
                    experts, context.per_layer() ? "a layer" : "the model"),
        fmt::format("write `capacity = {}`", experts));
  }
  return static_cast<uint32_t>(std::min(*slots, experts));
}

std::optional<std::vector<uint32_t>> bind_pins(const BindContext& context, uint32_t capacity) {
  std::vector<uint32_t> keys;
  bool in_model = true;
  for (const Sourced<Pin>& pin : context.policy.cache.pins) in_model = check_pin_in_model(pin, context) && in_model;
  if (!in_model) return std::nullopt;
  if (context.policy.cache.pins.empty()) return keys;
  if (!check_pins_fit(context, capacity)) return std::nullopt;
  for (uint32_t layer = 0; layer < context.shape.num_layers; ++layer) {
    for (const Pin::Range& range : pinned_in_layer(context.policy.cache, layer)) {
      for (uint32_t expert = range.first; expert <= range.last; ++expert) {
        keys.push_back(layer * context.shape.num_experts + expert);
      }
    }
  }
  return keys;
}

}  // namespace moe::ir
