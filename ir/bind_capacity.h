// SPDX-License-Identifier: Apache-2.0
// The parts of binding that turn sizes and pins into slots and keys. Internal to ir/bind.cpp.
#pragma once
#include <optional>
#include <vector>

#include "ir/bind.h"

namespace moe::ir {

/// What every part of binding reads, and where its findings go.
struct BindContext {
  const Policy& policy;
  const ModelShape& shape;
  const BindOptions& options;
  Diagnostics& diagnostics;

  bool per_layer() const { return policy.cache.scope.value == Scope::layer; }
  /// Experts of one cache instance.
  uint64_t experts_per_instance() const { return uint64_t{shape.num_experts} * (per_layer() ? 1 : shape.num_layers); }
};

/// Slots of one instance, 1..experts_per_instance(); nullopt after an error.
std::optional<uint32_t> bind_capacity(const BindContext& context);

/// Keys of the pinned experts, ascending, no repeats; nullopt after an error. Cost: the number of keys, plus layers
/// times pins; nothing is allocated for pins that do not fit.
std::optional<std::vector<uint32_t>> bind_pins(const BindContext& context, uint32_t capacity);

}  // namespace moe::ir
