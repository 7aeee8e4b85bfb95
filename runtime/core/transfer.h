// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <thread>

#include "runtime/backend/backend.h"
#include "runtime/core/copies.h"
#include "runtime/core/device_tiers.h"
#include "runtime/core/host_memory.h"
#include "runtime/core/link.h"
#include "runtime/core/link_thread.h"
#include "runtime/core/log.h"
#include "runtime/core/monitor.h"
#include "runtime/core/plans.h"
#include "runtime/core/precisions.h"
#include "runtime/core/traffic.h"
#include "runtime/core/waker.h"
#include "runtime/store/store.h"

namespace moe::core {

/// The thread of one link: moves experts to the device, demand first, one at a time, decodes those that come in another
/// precision, and hands freed slots to deferred copies. Whoever is more urgent passes an expert that is on its way
/// after each piece of it.
class Transfer {
 public:
  /// Of the rows that are decoded at a time: pieces of an expert.
  static constexpr uint64_t kMostCodedBytes = 4 << 20;

  struct Parts {
    CopyTable& copies;
    HostMemory* host;     ///< null: every expert is in the store's memory
    DeviceTiers* device;  ///< null: there is no GPU tier below the first
    const Precisions& precisions;
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
  /// A transfer: of the fast tier's table, or of the one beside it.
  struct Job {
    CopyTable& table;
    uint32_t copy;
    Queue queue;
    uint64_t bytes = 0;  ///< that have crossed the link
  };
  void run();
  bool move_next();
  void collect();
  bool carry_next(Queue queue);
  bool carry_first(CopyTable& table, Queue queue);
  void let_pass(Queue mine);
  void rest(uint32_t seen);
  void carry(Job job);
  void report(const Job& job, const Error& error);
  Result<const std::byte*> source_of(const Job& job) const;
  Result<void> move(Job& job);
  Result<void> copy_to_slot(Job& job, uint64_t to, const std::byte* source, uint64_t size, bool is_end);
  Result<void> decode_to_slot(Job& job, const std::byte* source);
  Result<void> decode_part(Job& job, const std::byte* source, size_t index, bool is_end);
  Result<void> fill(Job& job, const std::byte* source);
  Result<void> end_piece(Job& job, uint64_t bytes, bool last);
  void wait_for_link(Link::Clock::time_point until) const;
  bool is_beside(const Job& job) const { return &job.table != &parts_.copies; }
  bool unwanted(const Job& job) const {
    return stopping_.load(std::memory_order_relaxed) || job.table.phase(job.copy) == Phase::orphan;
  }

  const Parts parts_;
  Link link_;
  Link::Clock::duration passed_{};  ///< for how long others have passed the copy that is on its way
  std::atomic<double> prefetch_share_{1.0};
  std::atomic<bool> stopping_{false};
  Activity activity_;
  std::thread thread_;
};

}  // namespace moe::core
