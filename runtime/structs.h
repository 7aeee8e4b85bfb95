// SPDX-License-Identifier: Apache-2.0
// Public structs cross the C ABI by `struct_size`: an older caller's is shorter than ours, a newer caller's longer.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "runtime/last_error.h"

namespace moe::abi {

/// No public struct will ever be this large: what is, was never initialised.
inline constexpr uint32_t kMaxStructSize = 4096;

/// The size of T in the oldest version of the header: where the first field begins that came later.
template <class T>
inline constexpr size_t kLeastSize = sizeof(T);
template <>
inline constexpr size_t kLeastSize<moe_runtime_config> = offsetof(moe_runtime_config, decision_log_bytes);
template <>
inline constexpr size_t kLeastSize<moe_plan> = offsetof(moe_plan, num_fired);

template <class T>
moe_status check_struct(const T* given, const char* name) {
  if (!given) return fail(MOE_INVALID, "`%s` is NULL", name);
  if (given->struct_size < kLeastSize<T> || given->struct_size > kMaxStructSize) {
    return fail(MOE_INVALID, "`%s` has struct_size %u, expected at least %zu", name, given->struct_size, kLeastSize<T>);
  }
  return MOE_OK;
}

/// Copies what the caller gave; fields that it does not know keep their zero.
template <class T>
moe_status read_struct(const T* given, T& out, const char* name) {
  if (const moe_status status = check_struct(given, name)) return status;
  out = T{};
  std::memcpy(&out, given, std::min<size_t>(given->struct_size, sizeof(T)));
  return MOE_OK;
}

/// Writes what the caller has room for; fields that only it knows become zero. check_struct first.
template <class T>
void write_struct(const T& value, T* out) {
  const uint32_t size = out->struct_size;
  std::memcpy(out, &value, std::min<size_t>(size, sizeof(T)));
  if (size > sizeof(T)) std::memset(reinterpret_cast<char*>(out) + sizeof(T), 0, size - sizeof(T));
  out->struct_size = size;
}

}  // namespace moe::abi
