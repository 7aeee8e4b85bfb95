// SPDX-License-Identifier: Apache-2.0
// What kernels compute for one number, as functions of the host and the device: the tests call the same ones.
#pragma once
#include <cmath>

#include "runtime/precision/decode_one.h"

namespace moe::cuda {

/// silu(gate) * up. The host's and the device's exp differ in their last bits.
MOE_HOST_DEVICE inline float silu_product(float gate, float up) { return gate / (1.0F + expf(-gate)) * up; }

}  // namespace moe::cuda
