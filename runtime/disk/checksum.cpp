// SPDX-License-Identifier: Apache-2.0
#include "runtime/disk/checksum.h"

#include <cstring>

#include "runtime/base/crc32c.h"

namespace moe::disk {

#if defined(__x86_64__)
namespace {

[[gnu::target("sse4.2")]] uint32_t crc32c_of_sse(const void* data, size_t size, uint32_t crc) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  uint64_t state = ~crc;
  for (; size >= 8; size -= 8, bytes += 8) {
    uint64_t word;
    std::memcpy(&word, bytes, 8);
    state = __builtin_ia32_crc32di(state, word);
  }
  auto tail = static_cast<uint32_t>(state);
  for (; size != 0; --size, ++bytes) tail = __builtin_ia32_crc32qi(tail, *bytes);
  return ~tail;
}

}  // namespace

uint32_t fast_crc32c(const void* data, size_t size, uint32_t crc) {
  return __builtin_cpu_supports("sse4.2") ? crc32c_of_sse(data, size, crc) : crc32c(data, size, crc);
}
#else
uint32_t fast_crc32c(const void* data, size_t size, uint32_t crc) { return crc32c(data, size, crc); }
#endif

}  // namespace moe::disk
