// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/engine.h"

namespace moe::core {
namespace {

std::unique_ptr<HostMemory> make_host(const Dimensions& dims, const moe_runtime& runtime, const Precisions& precisions,
                                      backend::Backend& backend) {
  if (runtime.store.in_memory()) return nullptr;
  const uint32_t num_readers = dims.num_copies() + 2 * dims.device_tier_slots;
  const HostMemory::Sizes sizes{dims.host_tier_slots, dims.staging_slots, num_readers, dims.host_expert_bytes};
  return std::make_unique<HostMemory>(runtime.store, precisions, dims.shape, sizes, backend, runtime.allocator);
}

std::unique_ptr<DeviceTiers> make_device(const Dimensions& dims, const moe_runtime& runtime,
                                         const Precisions& precisions, HostMemory* host) {
  if (dims.device_tier_slots == 0) return nullptr;
  const DeviceTiers::Sizes sizes{dims.device_tier_slots, dims.streaming_slots, dims.num_copies(),
                                 dims.device_expert_bytes};
  return std::make_unique<DeviceTiers>(precisions, dims.num_keys(), sizes, host, runtime.allocator);
}

}  // namespace

Engine::Engine(const Dimensions& dimensions, Precisions precisions, moe_runtime& runtime)
    : dimensions_(dimensions),
      allocator_(runtime.allocator),
      disk_options_(runtime.disk),
      slot_bytes_(runtime.store.layout().slot_bytes),
      precisions_(std::move(precisions)),
      backend_(runtime.make_backend(runtime.allocator)),
      host_(make_host(dimensions, runtime, precisions_, *backend_)),
      device_(make_device(dimensions, runtime, precisions_, host_.get())),
      copies_(dimensions.num_copies(), dimensions.num_slots, runtime.allocator, host_ ? &host_->copies() : nullptr,
              device_ ? &device_->copies() : nullptr),
      plans_(dimensions.max_plans, dimensions.plan_sizes(),
             {copies_, host_.get(), *backend_, waker_, runtime.traffic, runtime.timeline.get()}, runtime.allocator),
      monitor_(runtime.counters, runtime.traffic, copies_, runtime.log),
      disk_(host_ ? std::make_unique<DiskLink>(DiskLink::Parts{*host_, plans_, disk_waker_, waker_, runtime.traffic,
                                                               runtime.timeline.get(), runtime.log})
                  : nullptr),
      transfer_({copies_, host_.get(), device_.get(), precisions_, plans_, waker_, runtime.traffic, *backend_,
                 runtime.store, dimensions.shape.num_experts, monitor_, runtime.timeline.get(), runtime.log},
                runtime.config.link_bytes_per_s),
      dispatcher_(
          dimensions,
          {runtime.store, copies_, host_.get(), device_.get(), precisions_, plans_, waker_, runtime.traffic, transfer_,
           disk_.get(), runtime.hints, runtime.counters, monitor_, runtime.decision_log.get(), runtime.timeline.get()},
          runtime.allocator) {
  if (disk_) waker_.chain(&disk_waker_);
}

Result<void> Engine::allocate() {
  Result<void*> tier = backend_->allocate(dimensions_.num_slots, slot_bytes_);
  if (!tier) return tier.error();
  plans_.set_tier(static_cast<std::byte*>(*tier), slot_bytes_);
  if (precisions_.count() > 1) {
    Result<void*> below = backend_->allocate_coded(device_ ? device_->size_bytes() : 0, Transfer::kMostCodedBytes);
    if (!below) return below.error();
    if (device_) device_->set_memory(static_cast<std::byte*>(*below));
  }
  return {};
}

Result<void> Engine::start(std::unique_ptr<Instance> first) {
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
