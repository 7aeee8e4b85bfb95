// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/peers.h"

#include <algorithm>

#include "runtime/cuda/errors.h"
#include "runtime/cuda/peer_test.h"

namespace moe::cuda {

Peers::~Peers() {
  for (const auto& [devices, link] : links_) {
    if (link->path == Path::peer) continue;
    {
      const DeviceScope target(driver_, devices.first);
      if (link->stream) {
        driver_.wait_for_stream(link->stream);
        driver_.destroy(link->stream);
      }
      if (link->arrived) driver_.destroy_event(link->arrived);
    }
    const DeviceScope source(driver_, devices.second);
    if (link->leaves) driver_.destroy_event(link->leaves);
  }
}

Result<void> Peers::check(Code code, const char* what) { return cuda::check(driver_, code, what); }

/// Access in the direction that the copy goes, and in the other one, which a driver may choose to read by.
Result<bool> Peers::peer_copies_are_good(int to_device, int from_device) {
  for (const auto& [device, peer] : {std::pair(from_device, to_device), std::pair(to_device, from_device)}) {
    int can = 0;
    Result<void> asked = check(driver_.can_access_peer(&can, device, peer), "ask for peer access");
    if (!asked) return asked.error();
    if (can == 0) return false;
    const DeviceScope scope(driver_, device);
    if (!scope.entered()) return scope.entered().error();
    if (driver_.enable_peer(peer) != kSuccess) return false;
  }
  return test_peer_copies(driver_, to_device, from_device);
}

Result<Peers::Path> Peers::choose(int to_device, int from_device) {
  if (to_device == from_device) return Path::peer;  // an ordinary copy
  const Result<bool> good = peer_copies_are_good(to_device, from_device);
  if (!good) return good.error();
  return *good ? Path::peer : Path::staged;
}

Result<Peers::Link*> Peers::link(int to_device, int from_device) {
  std::unique_ptr<Link>& known = links_[{to_device, from_device}];
  if (known) return known.get();
  const Result<Path> path = choose(to_device, from_device);
  if (!path) return path.error();
  auto made = std::make_unique<Link>(driver_);
  made->path = *path;
  if (*path == Path::staged) {
    if (Result<void> ready = prepare_staging(*made, to_device, from_device); !ready) return ready.error();
  }
  known = std::move(made);
  return known.get();
}

Result<void> Peers::prepare_staging(Link& link, int to_device, int from_device) {
  {
    const DeviceScope source(driver_, from_device);
    if (!source.entered()) return source.entered();
    if (Result<void> made = check(driver_.create_event(&link.leaves), "create an event"); !made) return made;
  }
  const DeviceScope target(driver_, to_device);
  if (!target.entered()) return target.entered();
  Code code = driver_.create_stream(&link.stream, 0);
  if (code == kSuccess) code = driver_.create_event(&link.arrived);
  if (Result<void> made = check(code, "create a stream"); !made) return made;
  return link.pool.allocate(0);
}

Result<Peers::Path> Peers::path(int to_device, int from_device) {
  const std::lock_guard lock(lock_);
  const Result<Link*> found = link(to_device, from_device);
  if (!found) return found.error();
  return (*found)->path;
}

Result<void> Peers::copy(const Move& move, int to_device, int from_device, Stream stream) {
  const std::lock_guard lock(lock_);
  const Result<Link*> found = link(to_device, from_device);
  if (!found) return found.error();
  if ((*found)->path == Path::staged) return copy_staged(**found, move, to_device, from_device, stream);
  const DeviceScope source(driver_, from_device);
  if (!source.entered()) return source.entered();
  const Code code =
      to_device == from_device ? driver_.copy(move, stream) : driver_.copy_peer(move, to_device, from_device, stream);
  return check(code, "copy between devices");
}

Result<void> Peers::copy_staged(Link& link, const Move& move, int to_device, int from_device, Stream stream) {
  for (size_t done = 0; done < move.size_bytes;) {
    const size_t size = std::min(PinnedPool::kBlockBytes, move.size_bytes - done);
    const Move part{static_cast<std::byte*>(move.to) + done, static_cast<const std::byte*>(move.from) + done, size};
    if (Result<void> queued = copy_block(link, part, to_device, from_device, stream); !queued) return queued;
    done += size;
  }
  Code code = kSuccess;
  {
    const DeviceScope target(driver_, to_device);
    if (!target.entered()) return target.entered();
    code = driver_.record(link.arrived, link.stream);
  }
  const DeviceScope source(driver_, from_device);
  if (!source.entered()) return source.entered();
  if (code == kSuccess) code = driver_.stream_wait(stream, link.arrived);
  return check(code, "copy between devices");
}

/// Each leg on a stream of the device that it touches, so that neither is a peer copy in disguise.
Result<void> Peers::copy_block(Link& link, const Move& move, int to_device, int from_device, Stream stream) {
  const Result<PinnedPool::Block> block = link.pool.take();
  if (!block) return block.error();
  {
    const DeviceScope source(driver_, from_device);
    if (!source.entered()) return source.entered();
    Code code = driver_.copy({block->data, move.from, move.size_bytes}, stream);
    if (code == kSuccess) code = driver_.record(link.leaves, stream);
    if (Result<void> left = check(code, "copy between devices"); !left) return left;
  }
  const DeviceScope target(driver_, to_device);
  if (!target.entered()) return target.entered();
  Code code = driver_.stream_wait(link.stream, link.leaves);
  if (code == kSuccess) code = driver_.copy({move.to, block->data, move.size_bytes}, link.stream);
  if (Result<void> arrived = check(code, "copy between devices"); !arrived) return arrived;
  return link.pool.give_back(*block, link.stream);
}

}  // namespace moe::cuda
