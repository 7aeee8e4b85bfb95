// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <thread>

#include "runtime/backend/backend.h"
#include "runtime/core/copies.h"
#include "runtime/core/host_memory.h"
#include "runtime/core/link.h"
#include "runtime/core/link_thread.h"
#include "runtime/core/log.h"
#include "runtime/core/monitor.h"
#include "runtime/core/plans.h"
#include "runtime/core/traffic.h"
#include "runtime/core/waker.h"
#include "runtime/store/store.h"

namespace moe::core {

/// The thread of one link: moves experts into the fast tier, demand first, one at a time, and hands freed slots to
/// deferred copies.
class Transfer {
 public:
  struct Parts {
    CopyTable& copies;
    HostMemory* host;  ///< null: every expert is in the store's memory
    Plans& plans;
    Waker& waker;
    Traffic& traffic;
    backend::Backend& backend;
    const store::ExpertStore& store;
    uint32_t num_experts;  ///< per layer, for messages
    Monitor& monitor;      ///< gets its turn between transfers
    Timeline* timeline;    ///< null: none is kept
    Log log;
  };
  Transfer(const Parts& parts, uint64_t link_bytes_per_s) : parts_(parts), link_(link_bytes_per_s) {}
  ~Transfer();

  /// Errors: no_memory (the system has no thread left).
  Result<void> start();
  /// Prefetch's share of the link, (0, 1]. Any thread.
  void set_prefetch_share(double share) {
    prefetch_share_.store(share > 0 && share <= 1 ? share : 1, std::memory_order_relaxed);
  }

 private:
  void run();
  bool move_next();
  void rest(uint32_t seen);
  void carry(uint32_t copy, Queue queue);
  void report(uint32_t copy, const Error& error);
  Result<const std::byte*> source_of(uint32_t copy) const;
  Result<void> copy_bytes(uint32_t copy);
  void wait_for_link(Link::Clock::time_point until) const;
  bool unwanted(uint32_t copy) const {
    return stopping_.load(std::memory_order_relaxed) || parts_.copies.phase(copy) == Phase::orphan;
  }

  const Parts parts_;
  Link link_;
  std::atomic<double> prefetch_share_{1.0};
  std::atomic<bool> stopping_{false};
  Activity activity_;
  std::thread thread_;
};

}  // namespace moe::core
