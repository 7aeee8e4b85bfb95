// SPDX-License-Identifier: Apache-2.0
// The other side of runtime/backend/library.h: makes the C table of a class that is a Backend.
#pragma once
#include <cstdio>
#include <new>

#include "runtime/backend/backend.h"
#include "runtime/backend/library_abi.h"
#include "runtime/base/status_of.h"

namespace moe::backend {

inline moe_status fail(moe_status status, const char* text, moe_backend_text* why) noexcept {
  std::snprintf(why->text, sizeof why->text, "%s", text);
  return status;
}

/// Runs `body`, which returns a Result<void>; no exception gets past it.
template <class F>
moe_status exported(moe_backend_text* why, F&& body) noexcept {
  try {
    const Result<void> result = body();
    return result ? MOE_OK : fail(status_of(result.error().kind), result.error().message.c_str(), why);
  } catch (const std::bad_alloc&) {
    return fail(MOE_NO_MEMORY, "out of memory", why);
  } catch (const std::exception& e) {
    return fail(MOE_INTERNAL, e.what(), why);
  } catch (...) {
    return fail(MOE_INTERNAL, "an exception of unknown type", why);
  }
}

/// The table of a library. `Maker` has
///   static Result<void> probe(uint32_t device);
///   static Result<std::unique_ptr<Backend>> create(const moe_backend_settings&);
template <class Maker>
constexpr moe_backend_library library_table(const char* library_name) {
  moe_backend_library table{};
  table.version = MOE_BACKEND_LIBRARY_VERSION;
  table.name = library_name;
  table.probe = [](uint32_t device, moe_backend_text* why) {
    return exported(why, [&] { return Maker::probe(device); });
  };
  table.create = [](const moe_backend_settings* settings, void** out, moe_backend_text* why) {
    return exported(why, [&]() -> Result<void> {
      Result<std::unique_ptr<Backend>> made = Maker::create(*settings);
      if (!made) return made.error();
      *out = std::move(made).value().release();
      return {};
    });
  };
  table.destroy = [](void* backend) { delete static_cast<Backend*>(backend); };
  table.allocate = [](void* backend, uint32_t num_slots, uint64_t slot_bytes, void** out, moe_backend_text* why) {
    return exported(why, [&]() -> Result<void> {
      Result<void*> tier = static_cast<Backend*>(backend)->allocate(num_slots, slot_bytes);
      if (!tier) return tier.error();
      *out = *tier;
      return {};
    });
  };
  table.allocate_host = [](void* backend, uint64_t size_bytes, void** out, moe_backend_text* why) {
    return exported(why, [&]() -> Result<void> {
      Result<void*> memory = static_cast<Backend*>(backend)->allocate_host(size_bytes);
      if (!memory) return memory.error();
      *out = *memory;
      return {};
    });
  };
  table.expect_copy = [](void* backend, uint32_t slot, uint32_t key, uint32_t urgent) {
    static_cast<Backend*>(backend)->expect_copy(slot, key, urgent != 0);
  };
  table.start_copy = [](void* backend, uint32_t slot, uint64_t offset, const void* source, uint64_t size, uint32_t last,
                        moe_backend_text* why) {
    return exported(why,
                    [&] { return static_cast<Backend*>(backend)->start_copy(slot, offset, source, size, last != 0); });
  };
  table.finish_copy = [](void* backend, uint32_t slot, moe_backend_text* why) {
    return exported(why, [&] { return static_cast<Backend*>(backend)->finish_copy(slot); });
  };
  table.allocate_coded = [](void* backend, uint64_t size_bytes, uint64_t most_bytes, void** out,
                            moe_backend_text* why) {
    return exported(why, [&]() -> Result<void> {
      Result<void*> memory = static_cast<Backend*>(backend)->allocate_coded(size_bytes, most_bytes);
      if (!memory) return memory.error();
      *out = *memory;
      return {};
    });
  };
  table.fill_coded = [](void* backend, void* to, const void* source, uint64_t size, moe_backend_text* why) {
    return exported(why, [&] { return static_cast<Backend*>(backend)->fill_coded(to, source, size); });
  };
  table.start_decode = [](void* backend, uint32_t slot, uint64_t offset, const moe_backend_coded_rows* rows,
                          uint32_t dtype, uint32_t on_device, uint32_t last, moe_backend_text* why) {
    const precision::CodedRows coded{static_cast<precision::Format>(rows->format),
                                     static_cast<moe_dtype>(rows->dtype),
                                     rows->rows,
                                     rows->cols,
                                     rows->group,
                                     rows->row_bytes,
                                     rows->scales,
                                     rows->shifts,
                                     rows->codes};
    return exported(why, [&] {
      return static_cast<Backend*>(backend)->start_decode(slot, offset, coded, static_cast<moe_dtype>(dtype),
                                                          on_device != 0, last != 0);
    });
  };
  table.start_copy_on_device = [](void* backend, uint32_t slot, uint64_t offset, const void* source, uint64_t size,
                                  uint32_t last, moe_backend_text* why) {
    return exported(why, [&] {
      return static_cast<Backend*>(backend)->start_copy_on_device(slot, offset, source, size, last != 0);
    });
  };
  table.stream_wait = [](void* backend, uint32_t slot, void* stream, moe_backend_text* why) {
    return exported(why, [&] { return static_cast<Backend*>(backend)->stream_wait(slot, stream); });
  };
  table.last_use = [](void* backend, uint32_t slot, void* stream, moe_backend_text* why) {
    return exported(why, [&] { return static_cast<Backend*>(backend)->last_use(slot, stream); });
  };
  table.functions = [](void* backend, const char* name, void** out_device) {
    const Backend::Functions found = static_cast<Backend*>(backend)->functions(name);
    *out_device = found.device;
    return found.table;
  };
  return table;
}

}  // namespace moe::backend
