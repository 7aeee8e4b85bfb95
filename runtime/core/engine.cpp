// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/engine.h"

namespace moe::core {
namespace {

std::unique_ptr<HostMemory> make_host(const Dimensions& dims, const moe_runtime& runtime, backend::Backend& backend) {
  if (runtime.store.in_memory()) return nullptr;
  const HostMemory::Sizes sizes{dims.host_tier_slots, dims.staging_slots, dims.num_copies()};
  return std::make_unique<HostMemory>(runtime.store, dims.shape, sizes, backend, runtime.allocator);
}

}  // namespace

Engine::Engine(const Dimensions& dimensions, moe_runtime& runtime)
    : dimensions_(dimensions),
      allocator_(runtime.allocator),
      disk_options_(runtime.disk),
      slot_bytes_(runtime.store.layout().slot_bytes),
      backend_(runtime.make_backend(runtime.allocator)),
      host_(make_host(dimensions, runtime, *backend_)),
      copies_(dimensions.num_copies(), dimensions.num_slots, runtime.allocator, host_ ? &host_->copies() : nullptr),
      plans_(dimensions.max_plans, dimensions.plan_sizes(),
             {copies_, host_.get(), *backend_, waker_, runtime.traffic, runtime.timeline.get()}, runtime.allocator),
      monitor_(runtime.counters, runtime.traffic, copies_, runtime.log),
      disk_(host_ ? std::make_unique<DiskLink>(DiskLink::Parts{*host_, plans_, disk_waker_, waker_, runtime.traffic,
                                                               runtime.timeline.get(), runtime.log})
                  : nullptr),
      transfer_({copies_, host_.get(), plans_, waker_, runtime.traffic, *backend_, runtime.store,
                 dimensions.shape.num_experts, monitor_, runtime.timeline.get(), runtime.log},
                runtime.config.link_bytes_per_s),
      dispatcher_(dimensions,
                  {runtime.store, copies_, host_.get(), plans_, waker_, runtime.traffic, transfer_, disk_.get(),
                   runtime.hints, runtime.counters, monitor_, runtime.decision_log.get(), runtime.timeline.get()},
                  runtime.allocator) {
  if (disk_) waker_.chain(&disk_waker_);
}

Result<void> Engine::start(std::unique_ptr<Instance> first) {
  Result<void*> tier = backend_->allocate(dimensions_.num_slots, slot_bytes_);
  if (!tier) return tier.error();
  plans_.set_tier(static_cast<std::byte*>(*tier), slot_bytes_);
  if (disk_) {
    if (Result<void> started = disk_->start(disk_options_, allocator_); !started) return started;
  }
  if (Result<void> started = transfer_.start(); !started) return started;
  dispatcher_.load_pins(*first, /*preload=*/true);
  dispatcher_.show_transfers();
  dispatcher_.swap(std::move(first));
  waker_.wake();
  return {};
}

}  // namespace moe::core
