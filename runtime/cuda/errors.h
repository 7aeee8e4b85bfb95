// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime/base/result.h"
#include "runtime/cuda/driver.h"

namespace moe::cuda {

// Numbers of cudaError_t, which CUDA keeps.
inline constexpr Code kSuccess = 0;
inline constexpr Code kOutOfMemory = 2;
inline constexpr Code kDriverTooOld = 35;  // also where no driver is installed
inline constexpr Code kNoDevice = 100;

/// The least compute capability that kernels are compiled for.
inline constexpr int kLeastMajor = 8;

/// `what` says what could not be done: "copy to the device".
Error error_of(Driver& driver, Code code, const char* what);

inline Result<void> check(Driver& driver, Code code, const char* what) {
  if (code == kSuccess) return {};
  return error_of(driver, code, what);
}

/// How many devices there are. Errors: device: no driver, one that is too old, or no device.
Result<uint32_t> count_devices(Driver& driver);

/// Whether `device` is there and can be used. Errors: as count_devices; device: there are fewer, or it is too old.
Result<void> probe(Driver& driver, uint32_t device);

/// Makes a device the calling thread's current one for a while; an engine's own choice is put back.
class DeviceScope {
 public:
  DeviceScope(Driver& driver, int device);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

  const Result<void>& entered() const { return entered_; }

 private:
  Driver& driver_;
  int before_ = -1;  ///< -1: nothing to put back
  Result<void> entered_;
};

}  // namespace moe::cuda
