// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/checksum.h"

#include <cstring>

#include "runtime/base/crc32c.h"

namespace moe::store {

#if defined(__x86_64__)
namespace {

__attribute__((target("sse4.2"))) uint32_t by_instruction(const uint8_t* bytes, size_t size, uint32_t crc) {
  uint64_t state = ~crc;
  for (; size >= 8; bytes += 8, size -= 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    state = __builtin_ia32_crc32di(state, word);
  }
  auto last = static_cast<uint32_t>(state);
  for (; size > 0; ++bytes, --size) last = __builtin_ia32_crc32qi(last, *bytes);
  return ~last;
}

}  // namespace

uint32_t checksum(const void* data, size_t size, uint32_t crc) {
  if (__builtin_cpu_supports("sse4.2") != 0) return by_instruction(static_cast<const uint8_t*>(data), size, crc);
  return crc32c(data, size, crc);
}
#else
uint32_t checksum(const void* data, size_t size, uint32_t crc) { return crc32c(data, size, crc); }
#endif

}  // namespace moe::store
