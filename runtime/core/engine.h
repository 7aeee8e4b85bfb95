// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "runtime/core/device_tiers.h"
#include "runtime/core/disk_link.h"
#include "runtime/core/dispatcher.h"
#include "runtime/core/host_memory.h"
#include "runtime/core/runtime.h"

namespace moe::core {

/// All that exists from the first attach on: the fast tier, the tables and the threads of the links.
class Engine {
 public:
  /// Experts that the store does not have in memory are read from disk. Throws std::bad_alloc.
  Engine(const Dimensions& dimensions, Precisions precisions, moe_runtime& runtime);

  /// Allocates the fast tier, and the GPU tiers below it. Errors: no_memory, device.
  Result<void> allocate();
  /// After allocate: queues the first policy's pins and starts the threads. Errors: no_memory, io.
  Result<void> start(std::unique_ptr<Instance> first);

  const Dimensions& dimensions() const { return dimensions_; }
  uint64_t slot_bytes() const { return slot_bytes_; }
  Plans& plans() { return plans_; }
  Dispatcher& dispatcher() { return dispatcher_; }
  /// Null: every expert is in host memory.
  const HostMemory* host() const { return host_.get(); }
  /// Null: there is no GPU tier below the first.
  const DeviceTiers* device() const { return device_.get(); }
  const Precisions& precisions() const { return precisions_; }
  backend::Backend& backend() { return *backend_; }

 private:
  const Dimensions dimensions_;
  const Allocator allocator_;
  const disk::Options disk_options_;
  const uint64_t slot_bytes_;
  const Precisions precisions_;
  const std::unique_ptr<backend::Backend> backend_;
  Waker waker_;
  Waker disk_waker_;
  const std::unique_ptr<HostMemory> host_;
  const std::unique_ptr<DeviceTiers> device_;
  CopyTable copies_;
  Plans plans_;
  Monitor monitor_;
  // Their threads use all of the above.
  std::unique_ptr<DiskLink> disk_;
  Transfer transfer_;
  Dispatcher dispatcher_;
};

}  // namespace moe::core
