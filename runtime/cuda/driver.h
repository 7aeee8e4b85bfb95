// SPDX-License-Identifier: Apache-2.0
// The calls of the CUDA runtime that the backend makes, as a thin table: cudart.cpp has the real ones, tests bring
// their own. Nothing here needs CUDA's headers, so all but cudart.cpp, cublas.cpp and kernels.cu builds on every
// machine.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/base/result.h"
#include "runtime/precision/decode.h"

namespace moe::cuda {

using Code = int;      ///< a cudaError_t; 0 is success
using Stream = void*;  ///< a cudaStream_t
using Event = void*;   ///< a cudaEvent_t

struct DeviceInfo {
  std::string name;
  int major = 0;  ///< compute capability
  int minor = 0;
};

/// One copy of a batch.
struct Move {
  void* to = nullptr;
  const void* from = nullptr;
  size_t size_bytes = 0;
};

/// y [n, outputs] = x [n, inputs] times the transpose of w [outputs, inputs], all row-major; x and w of `dtype`, y and
/// the sums in binary32.
struct Product {
  moe_dtype dtype = MOE_F32;
  uint32_t n = 0;
  uint32_t outputs = 0;
  uint32_t inputs = 0;
  const void* w = nullptr;  ///< aligned to 16 bytes
  const void* x = nullptr;
  float* y = nullptr;
};

/// Matrix products of one device. One thread at a time.
class Blas {
 public:
  virtual ~Blas() = default;
  /// Queues it. What comes out depends on values and shapes, not on where `w` lies. Errors: device.
  virtual Result<void> multiply(const Product& product, Stream stream) = 0;
};

/// Calls act on the calling thread's current device unless they name one. All but those with `wait` in their name, and
/// those that take or give back memory, return before their work is done, which is in the order of its stream.
class Driver {
 public:
  virtual ~Driver() = default;

  virtual const char* text(Code code) = 0;
  /// As 13000; 0: no driver is installed.
  virtual Code driver_version(int* out) = 0;
  virtual int runtime_version() = 0;
  virtual Code num_devices(int* out) = 0;
  virtual Code describe(int device, DeviceInfo* out) = 0;
  virtual Code current_device(int* out) = 0;
  virtual Code set_device(int device) = 0;

  virtual Code allocate(void** out, size_t size_bytes) = 0;
  virtual Code release(void* memory) = 0;
  /// Page-locked host memory, for all devices.
  virtual Code allocate_host(void** out, size_t size_bytes) = 0;
  virtual Code release_host(void* memory) = 0;

  /// Of streams: smaller numbers go first.
  virtual Code priorities(int* least, int* greatest) = 0;
  virtual Code create_stream(Stream* out, int priority) = 0;
  virtual Code destroy(Stream stream) = 0;
  virtual Code wait_for_stream(Stream stream) = 0;
  /// Without timing.
  virtual Code create_event(Event* out) = 0;
  virtual Code destroy_event(Event event) = 0;
  virtual Code record(Event event, Stream stream) = 0;
  /// What is queued on `stream` from now on comes behind the event's last record.
  virtual Code stream_wait(Stream stream, Event event) = 0;
  virtual Code wait_for_event(Event event) = 0;

  /// Between host and device memory, or within the device.
  virtual Code copy(const Move& move, Stream stream) = 0;
  /// Whether copy_batch is there: it came with CUDA 12.8.
  virtual bool has_batches() = 0;
  /// Host to device; the moves of a batch are in no order among themselves. `stream` is not the default one.
  virtual Code copy_batch(const Move* moves, size_t count, Stream stream) = 0;
  virtual Code fill(void* memory, uint8_t byte, size_t size_bytes, Stream stream) = 0;

  /// Whether `device` can be given access to the memory of `peer`.
  virtual Code can_access_peer(int* out, int device, int peer) = 0;
  /// For the current device; fine when it was enabled already.
  virtual Code enable_peer(int peer) = 0;
  virtual Code copy_peer(const Move& move, int to_device, int from_device, Stream stream) = 0;

  // The kernels of kernels.cu.
  virtual Code write_address(uint64_t* to, uint64_t address, Stream stream) = 0;
  /// `rows` points into device memory; the arithmetic is dequantize.h's.
  virtual Code dequantize(const precision::CodedRows& rows, moe_dtype dtype, void* out, Stream stream) = 0;
  /// out[i] = x[rows[i]], rows of `cols` numbers, rounded to `dtype`.
  virtual Code gather(const float* x, const uint32_t* rows, uint32_t count, uint32_t cols, moe_dtype dtype, void* out,
                      Stream stream) = 0;
  /// out[i] = silu(gate[i]) * up[i], rounded to `dtype`.
  virtual Code silu_product(const float* gate, const float* up, uint64_t count, moe_dtype dtype, void* out,
                            Stream stream) = 0;
  /// y[rows[i]] = x[i].
  virtual Code scatter(const float* x, const uint32_t* rows, uint32_t count, uint32_t cols, float* y,
                       Stream stream) = 0;

  /// Products of the current device. Errors: unsupported: no cuBLASLt; no_memory, device.
  virtual Result<std::unique_ptr<Blas>> open_blas() = 0;
};

}  // namespace moe::cuda
