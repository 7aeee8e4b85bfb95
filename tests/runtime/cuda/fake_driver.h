// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/memory.h"
#include "runtime/cuda/driver.h"
#include "runtime/cuda/errors.h"

namespace moe::test {

/// A machine with CUDA devices that are not there: device memory is host memory, and a stream's work is done late, in
/// an order that a seed chooses among all that CUDA allows. So what lacks a wait gives wrong bytes.
///
/// What CUDA refuses, it refuses: events of one device recorded on streams of another, launches with another device
/// current, handles that were destroyed. Page-locked memory is read when a copy is done, other host memory when it is
/// queued, as CUDA promises.
class FakeDriver final : public cuda::Driver {
 public:
  using Code = cuda::Code;
  struct Options {
    int num_devices = 1;
    uint32_t seed = 1;
    bool batches = true;
    int driver_version = 13000;
    int major = 9;                       ///< compute capability
    size_t host_limit_bytes = SIZE_MAX;  ///< of page-locked memory
    bool peer_access = true;
    std::function<void(void* to, size_t size_bytes)> harm_peer_copy = {};  ///< called after each
    bool blas = true;
  };
  explicit FakeDriver(const Options& options) : options_(options), random_(options.seed) {}
  ~FakeDriver() override;

  /// From now on the call of that name (as here) fails so many times, after `after` times that it does not.
  void fail(const std::string& call, Code code, int times = 1, int after = 0) {
    failures_[call] = {code, times, after};
  }
  /// How often a call was made.
  int calls(const std::string& call);
  int priority(cuda::Stream stream) const;
  /// The stream of the last copy, by itself or in a batch.
  cuda::Stream last_copy_stream() const { return last_copy_stream_; }
  /// Memory, streams and events that were not given back.
  size_t num_live();

  const char* text(Code code) override;
  Code driver_version(int* out) override;
  int runtime_version() override { return 13000; }
  Code num_devices(int* out) override;
  Code describe(int device, cuda::DeviceInfo* out) override;
  Code current_device(int* out) override;
  Code set_device(int device) override;
  Code allocate(void** out, size_t size_bytes) override;
  Code release(void* memory) override;
  Code allocate_host(void** out, size_t size_bytes) override;
  Code release_host(void* memory) override;
  Code priorities(int* least, int* greatest) override;
  Code create_stream(cuda::Stream* out, int priority) override;
  Code destroy(cuda::Stream stream) override;
  Code wait_for_stream(cuda::Stream stream) override;
  Code create_event(cuda::Event* out) override;
  Code destroy_event(cuda::Event event) override;
  Code record(cuda::Event event, cuda::Stream stream) override;
  Code stream_wait(cuda::Stream stream, cuda::Event event) override;
  Code wait_for_event(cuda::Event event) override;
  Code copy(const cuda::Move& move, cuda::Stream stream) override;
  bool has_batches() override { return options_.batches; }
  Code copy_batch(const cuda::Move* moves, size_t count, cuda::Stream stream) override;
  Code fill(void* memory, uint8_t byte, size_t size_bytes, cuda::Stream stream) override;
  Code can_access_peer(int* out, int device, int peer) override;
  Code enable_peer(int peer) override;
  Code copy_peer(const cuda::Move& move, int to_device, int from_device, cuda::Stream stream) override;
  Code write_address(uint64_t* to, uint64_t address, cuda::Stream stream) override;
  Code dequantize(const precision::CodedRows& rows, moe_dtype dtype, void* out, cuda::Stream stream) override;
  Code gather(const float* x, const uint32_t* rows, uint32_t count, uint32_t cols, moe_dtype dtype, void* out,
              cuda::Stream stream) override;
  Code silu_product(const float* gate, const float* up, uint64_t count, moe_dtype dtype, void* out,
                    cuda::Stream stream) override;
  Code scatter(const float* x, const uint32_t* rows, uint32_t count, uint32_t cols, float* y,
               cuda::Stream stream) override;
  Result<std::unique_ptr<cuda::Blas>> open_blas() override;

  /// Queues any work, as a kernel. The current device is the stream's.
  Code launch(cuda::Stream stream, std::function<void()> work);

 private:
  struct Marker {
    bool done = false;
  };
  struct Op {
    std::function<void()> work;
    std::shared_ptr<Marker> awaited;  ///< not before this one
  };
  struct FakeStream {
    int device;
    int priority;
    std::deque<Op> ops;
  };
  struct FakeEvent {
    int device;
    std::shared_ptr<Marker> last;
  };
  struct Block {
    moe::Block bytes;
    size_t size_bytes;
    bool host;
    int device;
  };
  struct Failure {
    Code code;
    int times;
    int after;
  };
  static constexpr Code kInvalidHandle = 400;
  static constexpr Code kInvalidValue = 1;

  Code enter(const std::string& call);
  int current();
  FakeStream* find(cuda::Stream stream);
  FakeEvent* find_event(cuda::Event event);
  const Block* block_of(const void* memory) const;
  Code allocate_block(void** out, size_t size_bytes, bool host);
  Code release_block(void* memory, bool host);
  bool step();
  void run_some();
  template <class F>
  bool run_until(F&& done);

  const Options options_;
  std::mt19937 random_;
  std::recursive_mutex lock_;
  std::map<void*, std::unique_ptr<FakeStream>> streams_;
  std::map<void*, std::unique_ptr<FakeEvent>> events_;
  std::map<const std::byte*, Block> blocks_;
  size_t host_bytes_ = 0;
  cuda::Stream last_copy_stream_ = nullptr;
  std::map<std::thread::id, int> current_;
  std::map<std::string, Failure> failures_;
  std::map<std::string, int> calls_;
};

}  // namespace moe::test
