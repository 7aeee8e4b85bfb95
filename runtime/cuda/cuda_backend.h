// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <mutex>
#include <vector>

#include "runtime/backend/backend.h"
#include "runtime/backend/library_abi.h"
#include "runtime/cuda/peers.h"
#include "runtime/cuda/slot_table.h"
#include "runtime/cuda/staging.h"

namespace moe::cuda {

/// A device's memory as the fast tier.
///
/// Streams    two of the backend's own: one of the greatest priority for experts that plans wait for, one of the least
///            for those that are fetched early. All of one copy is on one of them.
/// Events     one for each slot, behind its last copy; one for each stream that has used the slot since.
/// Threads    backend.h's. Each call makes the device current for itself.
class CudaBackend final : public backend::Backend {
 public:
  /// `peers`: of all runtimes of the process. `functions`: the table that engines ask for by MOE_CUDA_FUNCTIONS.
  CudaBackend(Driver& driver, const moe_backend_settings& settings, Peers& peers, const void* functions);
  /// Waits for its own copies. Engines have waited for their streams.
  ~CudaBackend() override;

  bool has_streams() const override { return true; }
  Result<void*> allocate(uint32_t num_slots, size_t slot_bytes) override;
  Result<void*> allocate_host(size_t size_bytes) override;
  void expect_copy(uint32_t slot, uint32_t key, bool urgent) override;
  Result<void> start_copy(uint32_t slot, size_t offset, const void* source, size_t size, bool last) override;
  Result<void> finish_copy(uint32_t slot) override;
  Result<void*> allocate_coded(size_t size_bytes, size_t most_bytes) override;
  Result<void> fill_coded(void* to, const void* source, size_t size) override;
  Result<void> start_decode(uint32_t slot, size_t offset, const precision::CodedRows& rows, moe_dtype dtype,
                            bool on_device, bool last) override;
  Result<void> start_copy_on_device(uint32_t slot, size_t offset, const void* source, size_t size, bool last) override;
  Result<void> stream_wait(uint32_t slot, void* stream) override;
  Result<void> last_use(uint32_t slot, void* stream) override;
  Functions functions(const char* name) override;

  Driver& driver() { return driver_; }
  Peers& peers() { return peers_; }
  int device() const { return device_; }
  const uint64_t* slot_table() const { return table_.data(); }
  size_t pinned_bytes() const { return staging_.pinned_bytes(); }

 private:
  struct Use {
    Stream stream;
    Event event;
  };
  struct Locked {
    const std::byte* begin;
    size_t size_bytes;
  };
  struct Slot {
    Event ready = nullptr;
    Stream stream = nullptr;  ///< of its last copy
    uint32_t key = UINT32_MAX;
    bool urgent = true;
    bool moving = false;    ///< begun and not finished
    std::vector<Use> uses;  ///< since its last copy, under the lock
  };
  Result<void> make_streams();
  bool is_locked(const void* memory, size_t size_bytes);
  Result<void> begin_at(Slot& slot, size_t offset);
  Result<void> begin(Slot& slot);
  Result<void> end_at(Slot& slot, bool last);
  Result<void> add(Stream stream, void* to, const void* source, size_t size);
  Result<precision::CodedRows> bring(const precision::CodedRows& rows, Stream stream);
  Result<void> wait_for_uses(Slot& slot, Stream stream);
  Result<Event> take_event();
  Result<void> check(Code code, const char* what);

  Driver& driver_;
  const moe_backend_settings settings_;
  const int device_;
  Peers& peers_;
  const void* const functions_;
  std::byte* tier_ = nullptr;
  size_t slot_bytes_ = 0;
  std::byte* coded_ = nullptr;    ///< of allocate_coded, and behind it a scratch for each of the streams
  std::byte* scratch_ = nullptr;  ///< [2][scratch_bytes_]
  size_t scratch_bytes_ = 0;
  Event filled_ = nullptr;
  Stream demand_ = nullptr;
  Stream background_ = nullptr;
  std::vector<Slot> slots_;
  Staging staging_;
  SlotTable table_;                 ///< written under the lock
  std::vector<Event> free_events_;  ///< under the lock
  std::vector<Locked> locked_;      ///< of allocate_host; under the lock
  std::mutex lock_;
};

}  // namespace moe::cuda
