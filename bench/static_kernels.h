// SPDX-License-Identifier: Apache-2.0
// The first baseline: the same kernels as the JIT's, compiled ahead of time by clang -O3 -march=native with the
// policy's constants in the source. bench-dispatch checks that they decide what the JIT's code decides.
#pragma once
#include <cstddef>
#include <string_view>

#include "runtime/decision/abi.h"

namespace moe::bench {

struct StaticKernel {
  std::string_view policy;  ///< of bench/policies or of the standard library; a rule's word: half of all experts
  decision::DispatchFn dispatch;
};
/// Of one shape.
struct StaticKernels {
  uint32_t num_layers;
  uint32_t num_experts;
  uint32_t top_k;
  const StaticKernel* kernels;
  size_t count;
};

// static_rules.cpp
const StaticKernels& static_rules_27x64x6();
// static_policies.cpp, once for each shape
const StaticKernels& static_policies_32x8x2();
const StaticKernels& static_policies_27x64x6();
const StaticKernels& static_policies_24x60x4();
// static_stdlib.cpp
const StaticKernels& static_stdlib_61x256x8();

/// null: its constants are not in the source (expressions, rules that change), or the shape is another.
decision::DispatchFn find_static(const StaticKernels& kernels, std::string_view policy);

}  // namespace moe::bench
