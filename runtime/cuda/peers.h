// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "runtime/cuda/pinned_pool.h"

namespace moe::cuda {

/// Copies from the memory of one device to that of another. Between some devices peer copies are possible and arrive
/// corrupted (boards whose IOMMU translates what crosses between slots), so a pair is tested before it is used; what
/// fails goes through the host.
///
/// Threads  any.
class Peers {
 public:
  explicit Peers(Driver& driver) : driver_(driver) {}
  ~Peers();
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  enum class Path { peer, staged };
  /// Tests the pair the first time. Errors: device, no_memory: the test itself could not be made.
  Result<Path> path(int to_device, int from_device);

  /// In the order of `stream`, which is of `from_device`. Errors: device, no_memory.
  Result<void> copy(const Move& move, int to_device, int from_device, Stream stream);

 private:
  /// The way from one device to another.
  struct Link {
    explicit Link(Driver& driver) : pool(driver) {}
    Path path = Path::staged;
    // Of the way through the host:
    Stream stream = nullptr;  ///< of the target device
    Event leaves = nullptr;   ///< of the source device: a block is on the host
    Event arrived = nullptr;  ///< of the target device: all of a copy is there
    PinnedPool pool;
  };
  Result<Link*> link(int to_device, int from_device);
  Result<Path> choose(int to_device, int from_device);
  Result<bool> peer_copies_are_good(int to_device, int from_device);
  Result<void> prepare_staging(Link& link, int to_device, int from_device);
  Result<void> copy_staged(Link& link, const Move& move, int to_device, int from_device, Stream stream);
  Result<void> copy_block(Link& link, const Move& move, int to_device, int from_device, Stream stream);
  Result<void> check(Code code, const char* what);

  Driver& driver_;
  std::mutex lock_;
  std::map<std::pair<int, int>, std::unique_ptr<Link>> links_;  ///< by (to, from)
};

}  // namespace moe::cuda
