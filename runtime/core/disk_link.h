// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <thread>
#include <vector>

#include "runtime/core/host_memory.h"
#include "runtime/core/link_thread.h"
#include "runtime/core/log.h"
#include "runtime/core/plans.h"
#include "runtime/core/traffic.h"
#include "runtime/core/waker.h"
#include "runtime/disk/reader.h"

namespace moe::core {

/// The thread of the link between disk and host memory: hands what is queued to a DiskReader, which knows what goes
/// first, and says what has arrived.
///
/// Failures  a read is tried again, and read again when its checksum is wrong (disk/reader.h); what fails then is
///           noted and logged with file and extent, and so is what the disk did not answer within the stall limit.
class DiskLink {
 public:
  struct Parts {
    HostMemory& host;
    const Plans& plans;
    Waker& waker;     ///< this thread's
    Waker& transfer;  ///< of the thread that takes from host memory
    Traffic& traffic;
    Timeline* timeline;  ///< null: none is kept
    Log log;
  };
  explicit DiskLink(const Parts& parts) : parts_(parts) {}
  ~DiskLink();

  /// Opens the store's data files and starts the thread. Errors: io, invalid, no_memory.
  Result<void> start(disk::Options options, const Allocator& allocator);
  /// Prefetch's share of the link, (0, 1]. Any thread, after start.
  void set_prefetch_share(double share) { reader_->set_prefetch_share(share); }

 private:
  struct Reading {
    disk::RequestId id;
    uint32_t copy;
    uint32_t queue;
    bool given_up;      ///< the reader knows that nobody wants it
    bool expired;       ///< timed out: the slot is the kernel's until the reader says otherwise
    uint64_t begin_ns;  ///< for the timeline
  };
  void run();
  bool work();
  bool submit_next();
  void hurry();
  void give_up_orphans();
  void land(const disk::Completion& completion);
  void arrive(Reading& reading, const disk::Completion& completion);
  void end(uint32_t copy, bool good);
  void rest(uint32_t seen);
  void note(const Reading& reading, const disk::Completion& completion);

  const Parts parts_;
  std::unique_ptr<disk::DiskReader> reader_;
  Array<disk::RequestId> requests_;  ///< of the copies that are being read; kNoRequest: of the others
  std::vector<Reading> readings_;    ///< at most num_requests_, so that it does not grow
  uint32_t num_requests_ = 0;
  std::atomic<bool> stopping_{false};
  Activity activity_;
  uint64_t last_arrival_ns_ = 0;  ///< for the timeline
  std::thread thread_;
};

}  // namespace moe::core
