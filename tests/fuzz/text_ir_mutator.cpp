// SPDX-License-Identifier: Apache-2.0
// Byte edits seldom reach deep into valid IR: now and then libFuzzer is handed a random valid policy to go on from.
#include <algorithm>
#include <cstring>
#include <string>

#include "tests/fuzz/target.h"
#include "tests/ir/random_ir.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  constexpr unsigned kFreshEvery = 32;
  if (seed % kFreshEvery != 0) return LLVMFuzzerMutate(data, size, max_size);
  const std::string text = moe::ir::print_text(moe::ir::test::RandomIr(seed / kFreshEvery).policy());
  const size_t length = std::min(text.size(), max_size);
  std::memcpy(data, text.data(), length);
  return length;
}
