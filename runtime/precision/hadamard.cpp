// SPDX-License-Identifier: Apache-2.0
#include "runtime/precision/hadamard.h"

namespace moe::precision {

void hadamard_transform(float* values, uint32_t block) {
  for (uint32_t stride = 1; stride < block; stride *= 2) {
    for (uint32_t begin = 0; begin < block; begin += 2 * stride) {
      for (uint32_t i = begin; i < begin + stride; ++i) {
        const float a = values[i];
        const float b = values[i + stride];
        values[i] = a + b;
        values[i + stride] = a - b;
      }
    }
  }
}

void hadamard_rotate(float* values, uint32_t block) {
  for (uint32_t i = 0; i < block; ++i) values[i] = hadamard_negative(i) ? -values[i] : values[i];
  hadamard_transform(values, block);
  const float norm = hadamard_norm(block);
  for (uint32_t i = 0; i < block; ++i) values[i] *= norm;
}

void hadamard_rotate_back(float* values, uint32_t block) {
  hadamard_transform(values, block);
  const float norm = hadamard_norm(block);
  for (uint32_t i = 0; i < block; ++i) {
    const float value = values[i] * norm;
    values[i] = hadamard_negative(i) ? -value : value;
  }
}

}  // namespace moe::precision
