// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/engine.h"

namespace moe::core {

Engine::Engine(const Dimensions& dimensions, moe_runtime& runtime)
    : dimensions_(dimensions),
      slot_bytes_(runtime.store.layout().slot_bytes),
      backend_(runtime.make_backend(runtime.allocator)),
      copies_(dimensions.num_copies(), dimensions.num_slots, runtime.allocator),
      plans_(dimensions.max_plans, dimensions.plan_sizes(), copies_, *backend_, waker_, runtime.traffic,
             runtime.allocator),
      monitor_(runtime.counters, runtime.traffic, copies_, runtime.log),
      transfer_({copies_, plans_, waker_, runtime.traffic, *backend_, runtime.store, dimensions.shape.num_experts,
                 monitor_, runtime.log},
                runtime.config.link_bytes_per_s),
      dispatcher_(dimensions,
                  {runtime.store, copies_, plans_, waker_, runtime.traffic, transfer_, runtime.hints, runtime.counters,
                   monitor_, runtime.decision_log.get()},
                  runtime.allocator) {}

Result<void> Engine::start(std::unique_ptr<Instance> first) {
  Result<void*> tier = backend_->allocate(dimensions_.num_slots, slot_bytes_);
  if (!tier) return tier.error();
  plans_.set_tier(static_cast<std::byte*>(*tier), slot_bytes_);
  if (Result<void> started = transfer_.start(); !started) return started;
  dispatcher_.load_pins(*first, /*preload=*/true);
  copies_.end_dispatch();
  dispatcher_.swap(std::move(first));
  waker_.wake();
  return {};
}

}  // namespace moe::core
