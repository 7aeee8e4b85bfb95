// SPDX-License-Identifier: Apache-2.0
// Driver over the CUDA runtime, which is linked in: libmoe_cuda needs no library but the driver's, and that only once
// it is used.
#include "runtime/cuda/cudart.h"

#include <cuda_runtime_api.h>

#include <vector>

#include "runtime/cuda/kernels.h"

namespace moe::cuda {
namespace {

cudaStream_t of(Stream stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t of_event(Event event) { return static_cast<cudaEvent_t>(event); }

/// A call that failed leaves its code for the next cudaGetLastError, which a launch would take for its own.
Code plain(cudaError_t code) {
  if (code != cudaSuccess) cudaGetLastError();
  return code;
}

class CudaRuntime final : public Driver {
 public:
  const char* text(Code code) override { return cudaGetErrorString(static_cast<cudaError_t>(code)); }
  Code driver_version(int* out) override { return plain(cudaDriverGetVersion(out)); }
  int runtime_version() override { return CUDART_VERSION; }
  Code num_devices(int* out) override { return plain(cudaGetDeviceCount(out)); }
  Code describe(int device, DeviceInfo* out) override {
    cudaDeviceProp properties;
    const Code code = plain(cudaGetDeviceProperties(&properties, device));
    if (code == cudaSuccess) *out = {properties.name, properties.major, properties.minor};
    return code;
  }
  Code current_device(int* out) override { return plain(cudaGetDevice(out)); }
  Code set_device(int device) override { return plain(cudaSetDevice(device)); }

  Code allocate(void** out, size_t size_bytes) override { return plain(cudaMalloc(out, size_bytes)); }
  Code release(void* memory) override { return plain(cudaFree(memory)); }
  Code allocate_host(void** out, size_t size_bytes) override {
    return plain(cudaHostAlloc(out, size_bytes, cudaHostAllocPortable));
  }
  Code release_host(void* memory) override { return plain(cudaFreeHost(memory)); }

  Code priorities(int* least, int* greatest) override {
    return plain(cudaDeviceGetStreamPriorityRange(least, greatest));
  }
  Code create_stream(Stream* out, int priority) override {
    cudaStream_t stream = nullptr;
    const Code code = plain(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, priority));
    if (code == cudaSuccess) *out = stream;
    return code;
  }
  Code destroy(Stream stream) override { return plain(cudaStreamDestroy(of(stream))); }
  Code wait_for_stream(Stream stream) override { return plain(cudaStreamSynchronize(of(stream))); }
  Code create_event(Event* out) override {
    cudaEvent_t event = nullptr;
    const Code code = plain(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    if (code == cudaSuccess) *out = event;
    return code;
  }
  Code destroy_event(Event event) override { return plain(cudaEventDestroy(of_event(event))); }
  Code record(Event event, Stream stream) override { return plain(cudaEventRecord(of_event(event), of(stream))); }
  Code stream_wait(Stream stream, Event event) override {
    return plain(cudaStreamWaitEvent(of(stream), of_event(event), 0));
  }
  Code wait_for_event(Event event) override { return plain(cudaEventSynchronize(of_event(event))); }

  Code copy(const Move& move, Stream stream) override {
    return plain(cudaMemcpyAsync(move.to, move.from, move.size_bytes, cudaMemcpyDefault, of(stream)));
  }
  bool has_batches() override { return CUDART_VERSION >= 13000; }  // 12.8 had another signature
  Code copy_batch(const Move* moves, size_t count, Stream stream) override;
  Code fill(void* memory, uint8_t byte, size_t size_bytes, Stream stream) override {
    return plain(cudaMemsetAsync(memory, byte, size_bytes, of(stream)));
  }

  Code can_access_peer(int* out, int device, int peer) override {
    return plain(cudaDeviceCanAccessPeer(out, device, peer));
  }
  Code enable_peer(int peer) override {
    const Code code = plain(cudaDeviceEnablePeerAccess(peer, 0));
    return code == cudaErrorPeerAccessAlreadyEnabled ? cudaSuccess : code;
  }
  Code copy_peer(const Move& move, int to_device, int from_device, Stream stream) override {
    return plain(cudaMemcpyPeerAsync(move.to, to_device, move.from, from_device, move.size_bytes, of(stream)));
  }

  Code write_address(uint64_t* to, uint64_t address, Stream stream) override {
    return launch_write_address(to, address, stream);
  }
  Code dequantize(const precision::CodedRows& rows, moe_dtype dtype, void* out, Stream stream) override {
    return launch_dequantize(rows, dtype, out, stream);
  }
  Code gather(const float* x, const uint32_t* rows, uint32_t count, uint32_t cols, moe_dtype dtype, void* out,
              Stream stream) override {
    return launch_gather(x, rows, count, cols, dtype, out, stream);
  }
  Code silu_product(const float* gate, const float* up, uint64_t count, moe_dtype dtype, void* out,
                    Stream stream) override {
    return launch_silu_product(gate, up, count, dtype, out, stream);
  }
  Code scatter(const float* x, const uint32_t* rows, uint32_t count, uint32_t cols, float* y, Stream stream) override {
    return launch_scatter(x, rows, count, cols, y, stream);
  }

  Result<std::unique_ptr<Blas>> open_blas() override { return open_cublas(*this); }
};

Code CudaRuntime::copy_batch(const Move* moves, size_t count, Stream stream) {
#if CUDART_VERSION >= 13000
  std::vector<void*> targets(count);
  std::vector<const void*> sources(count);
  std::vector<size_t> sizes(count);
  for (size_t i = 0; i < count; ++i) {
    targets[i] = moves[i].to;
    sources[i] = moves[i].from;
    sizes[i] = moves[i].size_bytes;
  }
  cudaMemcpyAttributes attributes{};
  attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;  // sources stay as they are until the copies have ended
  size_t first = 0;
  return plain(
      cudaMemcpyBatchAsync(targets.data(), sources.data(), sizes.data(), count, &attributes, &first, 1, of(stream)));
#else
  static_cast<void>(moves), static_cast<void>(count), static_cast<void>(stream);
  return cudaErrorNotSupported;
#endif
}

}  // namespace

Driver& cuda_runtime() {
  static CudaRuntime runtime;
  return runtime;
}

}  // namespace moe::cuda
