// SPDX-License-Identifier: Apache-2.0
// What a device must be able to do. Small on purpose: who decides, who waits and in which order things move is the same
// for every device and lives in runtime/core.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/base/memory.h"
#include "runtime/base/result.h"
#include "runtime/precision/decode.h"

namespace moe::backend {

/// A device's fast tier and the copies into it. Slots are numbered from 0; a slot has at most one copy under way.
///
/// Threads  allocate: once, before everything else. start_copy and finish_copy: the transfer thread. stream_wait and
///          last_use: any thread, never two of them at once for one slot. No call comes from moe_dispatch.
/// Errors   device, for all of them; io where a source cannot be read.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  /// Whether engines may give streams. If not, stream_wait and last_use are never called.
  virtual bool has_streams() const = 0;

  /// Allocates the fast tier and returns where slot 0 begins, aligned to 64 bytes; slot i begins i * slot_bytes behind.
  /// It lives as long as the backend.
  virtual Result<void*> allocate(uint32_t num_slots, size_t slot_bytes) = 0;

  /// Host memory for sources that stay, such as a host tier's: copies from it go to the device as they are, where
  /// others pass through buffers. Aligned to 64 bytes; lives as long as the backend. After allocate, any thread.
  /// Errors: unsupported: this backend copies from all memory alike; no_memory, device.
  virtual Result<void*> allocate_host(size_t size_bytes) {
    static_cast<void>(size_bytes);
    return Error{Error::Kind::unsupported, "this backend copies from all host memory alike"};
  }

  /// What the next copy into the slot is: the expert `key`, layer * num_experts + expert, and whether a plan waits
  /// for it (`urgent`) or it is fetched early. For backends that have several links, or a table of what is where.
  virtual void expect_copy(uint32_t slot, uint32_t key, bool urgent) {
    static_cast<void>(slot), static_cast<void>(key), static_cast<void>(urgent);
  }
  /// Begins to copy part of an expert to `offset` in the slot, behind all that last_use named for the slot; may return
  /// before the copy is done. `source` is host memory and stays until finish_copy. The parts of one expert are
  /// started in order, the first at offset 0; one that is given up in between is followed by the next expert's first.
  /// The slot's event is recorded behind the last one (`last`).
  virtual Result<void> start_copy(uint32_t slot, size_t offset, const void* source, size_t size, bool last) = 0;
  /// Waits until everything that was started for the slot is there.
  virtual Result<void> finish_copy(uint32_t slot) = 0;

  // Copies of lower precision, for backends that can decode them. After allocate; the transfer thread, but for
  // allocate_coded, which is called once, before it.

  /// Device memory for packed copies beside the fast tier, aligned to 64 bytes, and what start_decode needs of it for
  /// `most_bytes` of rows at a time. `size_bytes` may be 0. It lives as long as the backend.
  virtual Result<void*> allocate_coded(size_t size_bytes, size_t most_bytes) {
    static_cast<void>(size_bytes), static_cast<void>(most_bytes);
    return Error{Error::Kind::unsupported, "this backend decodes nothing"};
  }
  /// Copies from the host into that memory, and waits until it is there.
  virtual Result<void> fill_coded(void* to, const void* source, size_t size) {
    static_cast<void>(to), static_cast<void>(source), static_cast<void>(size);
    return Error{Error::Kind::unsupported, "this backend decodes nothing"};
  }
  /// As start_copy, of rows that are decoded into numbers of `dtype` at `offset`. `rows` has another format than
  /// native, and points into host memory, or (`on_device`) into that of allocate_coded.
  virtual Result<void> start_decode(uint32_t slot, size_t offset, const precision::CodedRows& rows, moe_dtype dtype,
                                    bool on_device, bool last) {
    static_cast<void>(slot), static_cast<void>(offset), static_cast<void>(rows), static_cast<void>(dtype);
    static_cast<void>(on_device), static_cast<void>(last);
    return Error{Error::Kind::unsupported, "this backend decodes nothing"};
  }
  /// As start_copy, from the memory of allocate_coded.
  virtual Result<void> start_copy_on_device(uint32_t slot, size_t offset, const void* source, size_t size, bool last) {
    static_cast<void>(slot), static_cast<void>(offset), static_cast<void>(source), static_cast<void>(size);
    static_cast<void>(last);
    return Error{Error::Kind::unsupported, "this backend decodes nothing"};
  }

  /// Makes `stream` wait for the slot's last copy, which was started with `last`; returns at once.
  virtual Result<void> stream_wait(uint32_t slot, void* stream) = 0;
  /// What is queued on `stream` now is the slot's last use: later copies into it wait for that. Several streams may use
  /// one slot; all of them count.
  virtual Result<void> last_use(uint32_t slot, void* stream) = 0;

  /// What an engine's own device code may call: a table of functions named `name` and the device they are called with.
  struct Functions {
    const void* table = nullptr;  ///< nullptr: this backend has none of that name
    void* device = nullptr;       ///< lives as long as the backend
  };
  virtual Functions functions(const char* name) {
    static_cast<void>(name);
    return {};
  }
};

}  // namespace moe::backend
