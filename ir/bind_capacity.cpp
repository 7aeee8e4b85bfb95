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
  const Sourced<double>& size_gb = context.rules.cache.expert_size_gb;
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
  context.diagnostics.error("MOE2202", context.rules.cache.capacity.span,
                            fmt::format("{} needs the size of an expert, which the model does not say", what),
                            fmt::format("give the model with its size (`{}x{}x{}:BYTES`), or write `expert_size_gb`",
                                        context.shape.num_layers, context.shape.num_experts, context.shape.top_k));
  return false;
}

std::optional<uint64_t> slots_of_bytes(const BindContext& context) {
  const Sourced<Capacity>& capacity = context.rules.cache.capacity;
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
  const SourceSpan span = context.rules.cache.capacity.span;
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
    context.diagnostics.error("MOE2214", context.rules.cache.capacity.span,
                              "a capacity of 0 slots was asked for in place of the policy's",
                              "ask for at least 1 slot");
    return std::nullopt;
  }
  const Capacity& capacity = context.rules.cache.capacity.value;
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

}  // namespace

std::optional<uint32_t> bind_capacity(const BindContext& context) {
  const std::optional<uint64_t> slots = wanted_slots(context);
  if (!slots) return std::nullopt;
  const uint64_t experts = context.experts_per_instance();
  const Capacity::Kind kind = context.rules.cache.capacity.value.kind;
  const bool counted = context.options.capacity_slots || kind == Capacity::Kind::slots;
  if (counted && *slots > experts) {
    context.diagnostics.warning(
        "MOE2213", context.rules.cache.capacity.span,
        fmt::format("a capacity of {} slots is more than the {} experts of {}, all of which stay resident", *slots,
                    experts, context.per_layer() ? "a layer" : "the model"),
        fmt::format("write `capacity = {}`", experts));
  }
  return static_cast<uint32_t>(std::min(*slots, experts));
}

}  // namespace moe::ir
