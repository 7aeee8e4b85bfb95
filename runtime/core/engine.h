// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "runtime/core/dispatcher.h"
#include "runtime/core/runtime.h"

namespace moe::core {

/// All that exists from the first attach on: the fast tier, the tables and the transfer thread.
class Engine {
 public:
  Engine(const Dimensions& dimensions, moe_runtime& runtime);

  /// Allocates the fast tier, queues the first policy's pins and starts the thread. Errors: no_memory, device.
  Result<void> start(std::unique_ptr<Instance> first);

  const Dimensions& dimensions() const { return dimensions_; }
  uint64_t slot_bytes() const { return slot_bytes_; }
  Plans& plans() { return plans_; }
  Dispatcher& dispatcher() { return dispatcher_; }
  backend::Backend& backend() { return *backend_; }

 private:
  const Dimensions dimensions_;
  const uint64_t slot_bytes_;
  const std::unique_ptr<backend::Backend> backend_;
  Waker waker_;
  CopyTable copies_;
  Plans plans_;
  Monitor monitor_;
  Transfer transfer_;  // its thread uses all of the above
  Dispatcher dispatcher_;
};

}  // namespace moe::core
