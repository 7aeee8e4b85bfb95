// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime/cuda/fake_driver.h"

#include <algorithm>
#include <cstring>

namespace moe::test {

using cuda::Code;
using cuda::Event;
using cuda::kSuccess;
using cuda::Move;
using cuda::Stream;
using Lock = std::lock_guard<std::recursive_mutex>;

FakeDriver::~FakeDriver() = default;

int FakeDriver::calls(const std::string& call) {
  const Lock lock(lock_);
  return calls_[call];
}

int FakeDriver::priority(Stream stream) const { return streams_.at(stream)->priority; }

size_t FakeDriver::num_live() {
  const Lock lock(lock_);
  return streams_.size() + events_.size() + blocks_.size();
}

Code FakeDriver::enter(const std::string& call) {
  ++calls_[call];
  const auto failure = failures_.find(call);
  if (failure == failures_.end()) return kSuccess;
  if (failure->second.after-- > 0) return kSuccess;
  const Code code = failure->second.code;
  if (--failure->second.times == 0) failures_.erase(failure);
  return code;
}

int FakeDriver::current() { return current_[std::this_thread::get_id()]; }

FakeDriver::FakeStream* FakeDriver::find(Stream stream) {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? nullptr : found->second.get();
}

FakeDriver::FakeEvent* FakeDriver::find_event(Event event) {
  const auto found = events_.find(event);
  return found == events_.end() ? nullptr : found->second.get();
}

const FakeDriver::Block* FakeDriver::block_of(const void* memory) const {
  const auto* const address = static_cast<const std::byte*>(memory);
  auto after = blocks_.upper_bound(address);
  if (after == blocks_.begin()) return nullptr;
  const auto& [base, block] = *--after;
  return address < base + block.size_bytes ? &block : nullptr;
}

/// Does one piece of work that may be done now. False: there is none.
bool FakeDriver::step() {
  std::vector<FakeStream*> ready;
  for (auto& [handle, stream] : streams_) {
    if (stream->ops.empty()) continue;
    const Op& op = stream->ops.front();
    if (!op.awaited || op.awaited->done) ready.push_back(stream.get());
  }
  if (ready.empty()) return false;
  FakeStream& stream = *ready[random_() % ready.size()];
  const Op op = std::move(stream.ops.front());
  stream.ops.pop_front();
  if (op.work) op.work();
  return true;
}

/// Time goes by: mostly none.
void FakeDriver::run_some() {
  if (random_() % 4 != 0) return;
  for (uint32_t n = random_() % 4; n > 0 && step(); --n) {
  }
}

template <class F>
bool FakeDriver::run_until(F&& done) {
  while (!done()) {
    if (!step()) return false;
  }
  return true;
}

const char* FakeDriver::text(Code code) { return code == cuda::kOutOfMemory ? "out of memory" : "made to fail"; }

Code FakeDriver::driver_version(int* out) {
  *out = options_.driver_version;
  return kSuccess;
}

Code FakeDriver::num_devices(int* out) {
  if (options_.driver_version < runtime_version()) return cuda::kDriverTooOld;
  if (options_.num_devices == 0) return cuda::kNoDevice;
  *out = options_.num_devices;
  return kSuccess;
}

Code FakeDriver::describe(int, cuda::DeviceInfo* out) {
  *out = {"Fake", options_.major, 0};
  return kSuccess;
}

Code FakeDriver::current_device(int* out) {
  const Lock lock(lock_);
  *out = current();
  return kSuccess;
}

Code FakeDriver::set_device(int device) {
  const Lock lock(lock_);
  if (device < 0 || device >= options_.num_devices) return kInvalidValue;
  current_[std::this_thread::get_id()] = device;
  return kSuccess;
}

Code FakeDriver::allocate_block(void** out, size_t size_bytes, bool host) {
  if (host && size_bytes > options_.host_limit_bytes - host_bytes_) return cuda::kOutOfMemory;
  Block block{moe::Block(Allocator(), std::max<size_t>(size_bytes, 1)), size_bytes, host, current()};
  std::memset(block.bytes.data(), 0xCD, size_bytes);
  if (host) host_bytes_ += size_bytes;
  *out = block.bytes.data();
  const std::byte* const base = block.bytes.bytes();
  blocks_.emplace(base, std::move(block));
  return kSuccess;
}

Code FakeDriver::release_block(void* memory, bool host) {
  const auto found = blocks_.find(static_cast<const std::byte*>(memory));
  if (found == blocks_.end() || found->second.host != host) return kInvalidValue;
  while (step()) {  // as CUDA does
  }
  if (host) host_bytes_ -= found->second.size_bytes;
  blocks_.erase(found);
  return kSuccess;
}

Code FakeDriver::allocate(void** out, size_t size_bytes) {
  const Lock lock(lock_);
  if (const Code code = enter("allocate")) return code;
  return allocate_block(out, size_bytes, false);
}
Code FakeDriver::release(void* memory) {
  const Lock lock(lock_);
  return release_block(memory, false);
}
Code FakeDriver::allocate_host(void** out, size_t size_bytes) {
  const Lock lock(lock_);
  if (const Code code = enter("allocate_host")) return code;
  return allocate_block(out, size_bytes, true);
}
Code FakeDriver::release_host(void* memory) {
  const Lock lock(lock_);
  return release_block(memory, true);
}

Code FakeDriver::priorities(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return kSuccess;
}

Code FakeDriver::create_stream(Stream* out, int priority) {
  const Lock lock(lock_);
  if (const Code code = enter("create_stream")) return code;
  auto stream = std::make_unique<FakeStream>(FakeStream{current(), priority, {}});
  *out = stream.get();
  streams_.emplace(*out, std::move(stream));
  return kSuccess;
}

Code FakeDriver::destroy(Stream stream) {
  const Lock lock(lock_);
  FakeStream* const found = find(stream);
  if (!found) return kInvalidHandle;
  run_until([&] { return found->ops.empty(); });  // CUDA lets its work end
  streams_.erase(stream);
  return kSuccess;
}

Code FakeDriver::wait_for_stream(Stream stream) {
  const Lock lock(lock_);
  if (const Code code = enter("wait_for_stream")) return code;
  FakeStream* const found = find(stream);
  if (!found) return kInvalidHandle;
  return run_until([&] { return found->ops.empty(); }) ? kSuccess : kInvalidValue;
}

Code FakeDriver::create_event(Event* out) {
  const Lock lock(lock_);
  if (const Code code = enter("create_event")) return code;
  auto event = std::make_unique<FakeEvent>(FakeEvent{current(), nullptr});
  *out = event.get();
  events_.emplace(*out, std::move(event));
  return kSuccess;
}

Code FakeDriver::destroy_event(Event event) {
  const Lock lock(lock_);
  return events_.erase(event) == 1 ? kSuccess : kInvalidHandle;
}

Code FakeDriver::record(Event event, Stream stream) {
  const Lock lock(lock_);
  if (const Code code = enter("record")) return code;
  FakeEvent* const found = find_event(event);
  FakeStream* const on = find(stream);
  if (!found || !on || found->device != on->device) return kInvalidHandle;
  auto marker = std::make_shared<Marker>();
  found->last = marker;
  on->ops.push_back({[marker] { marker->done = true; }, nullptr});
  run_some();
  return kSuccess;
}

Code FakeDriver::stream_wait(Stream stream, Event event) {
  const Lock lock(lock_);
  if (const Code code = enter("stream_wait")) return code;
  FakeEvent* const found = find_event(event);
  FakeStream* const on = find(stream);
  if (!found || !on) return kInvalidHandle;
  if (found->last) on->ops.push_back({nullptr, found->last});
  run_some();
  return kSuccess;
}

Code FakeDriver::wait_for_event(Event event) {
  const Lock lock(lock_);
  if (const Code code = enter("wait_for_event")) return code;
  FakeEvent* const found = find_event(event);
  if (!found) return kInvalidHandle;
  if (!found->last) return kSuccess;
  const std::shared_ptr<Marker> last = found->last;
  return run_until([&] { return last->done; }) ? kSuccess : kInvalidValue;
}

Code FakeDriver::copy(const Move& move, Stream stream) {
  const Lock lock(lock_);
  if (const Code code = enter("copy")) return code;
  FakeStream* const on = find(stream);
  if (!on) return kInvalidHandle;
  last_copy_stream_ = stream;
  if (!block_of(move.from)) {  // pageable: read now
    const auto* const from = static_cast<const std::byte*>(move.from);
    const std::vector<std::byte> bytes(from, from + move.size_bytes);
    on->ops.push_back({[bytes, move] { std::copy(bytes.begin(), bytes.end(), static_cast<std::byte*>(move.to)); }, {}});
  } else {
    on->ops.push_back({[move] { std::memcpy(move.to, move.from, move.size_bytes); }, {}});
    if (!block_of(move.to)) run_until([&] { return on->ops.empty(); });  // pageable: there when the call returns
  }
  run_some();
  return kSuccess;
}

Code FakeDriver::copy_batch(const Move* moves, size_t count, Stream stream) {
  const Lock lock(lock_);
  if (const Code code = enter("copy_batch")) return code;
  FakeStream* const on = find(stream);
  if (!on) return kInvalidHandle;
  last_copy_stream_ = stream;
  std::vector<Move> order(moves, moves + count);
  std::shuffle(order.begin(), order.end(), random_);
  for (const Move& move : order) {
    on->ops.push_back({[move] { std::memcpy(move.to, move.from, move.size_bytes); }, {}});
  }
  run_some();
  return kSuccess;
}

Code FakeDriver::fill(void* memory, uint8_t byte, size_t size_bytes, Stream stream) {
  const Lock lock(lock_);
  if (const Code code = enter("fill")) return code;
  return launch(stream, [=] { std::memset(memory, byte, size_bytes); });
}

Code FakeDriver::launch(Stream stream, std::function<void()> work) {
  const Lock lock(lock_);
  if (const Code code = enter("launch")) return code;
  FakeStream* const on = find(stream);
  if (!on || on->device != current()) return kInvalidHandle;
  on->ops.push_back({std::move(work), nullptr});
  run_some();
  return kSuccess;
}

Code FakeDriver::can_access_peer(int* out, int device, int peer) {
  *out = options_.peer_access && device != peer;
  return kSuccess;
}

Code FakeDriver::enable_peer(int peer) {
  const Lock lock(lock_);
  if (const Code code = enter("enable_peer")) return code;
  return peer == current() ? kInvalidValue : kSuccess;
}

Code FakeDriver::copy_peer(const Move& move, int to_device, int from_device, Stream stream) {
  const Lock lock(lock_);
  if (const Code code = enter("copy_peer")) return code;
  FakeStream* const on = find(stream);
  const Block* const to = block_of(move.to);
  const Block* const from = block_of(move.from);
  if (!on || !to || !from || to->device != to_device || from->device != from_device) return kInvalidHandle;
  on->ops.push_back({[this, move] {
                       std::memcpy(move.to, move.from, move.size_bytes);
                       if (options_.harm_peer_copy) options_.harm_peer_copy(move.to, move.size_bytes);
                     },
                     nullptr});
  run_some();
  return kSuccess;
}

Code FakeDriver::write_address(uint64_t* to, uint64_t address, Stream stream) {
  const Lock lock(lock_);
  if (const Code code = enter("write_address")) return code;
  return launch(stream, [=] { *to = address; });
}

}  // namespace moe::test
