// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace engine {

/// Bytes of one number of a moe_dtype that this engine reads (F32, F16, BF16); 0 for any other.
size_t dtype_bytes(uint32_t dtype);

/// Converts `count` numbers to fp32, exactly. `source` needs no alignment. Requires dtype_bytes(dtype) > 0.
void widen(uint32_t dtype, const void* source, size_t count, float* target);

}  // namespace engine
