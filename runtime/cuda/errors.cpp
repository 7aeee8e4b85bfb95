// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/errors.h"

namespace moe::cuda {
namespace {

Error no_device(const std::string& why) { return {Error::Kind::device, "no CUDA device: " + why}; }

std::string version(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

}  // namespace

Error error_of(Driver& driver, Code code, const char* what) {
  const auto kind = code == kOutOfMemory ? Error::Kind::no_memory : Error::Kind::device;
  return {kind, std::string("CUDA: cannot ") + what + ": " + driver.text(code) + " (" + std::to_string(code) + ")"};
}

Result<uint32_t> count_devices(Driver& driver) {
  int count = 0;
  const Code code = driver.num_devices(&count);
  if (code == kDriverTooOld) {
    int installed = 0;
    if (driver.driver_version(&installed) != kSuccess || installed == 0) return no_device("no driver is installed");
    return no_device("the driver is for CUDA " + version(installed) + ", and " + version(driver.runtime_version()) +
                     " is needed: install a newer one");
  }
  if (code == kNoDevice || (code == kSuccess && count == 0)) return no_device("the machine has none");
  if (code != kSuccess) return no_device(std::string(driver.text(code)) + " (" + std::to_string(code) + ")");
  return static_cast<uint32_t>(count);
}

Result<void> probe(Driver& driver, uint32_t device) {
  const Result<uint32_t> count = count_devices(driver);
  if (!count) return count.error();
  if (device >= *count) {
    return no_device("there is no device " + std::to_string(device) + ", the machine has " + std::to_string(*count));
  }
  DeviceInfo info;
  if (Result<void> known = check(driver, driver.describe(static_cast<int>(device), &info), "describe the device");
      !known) {
    return known;
  }
  if (info.major >= kLeastMajor) return {};
  return no_device("device " + std::to_string(device) + " (" + info.name + ") has compute capability " +
                   std::to_string(info.major) + "." + std::to_string(info.minor) + ", 8.0 is the least");
}

DeviceScope::DeviceScope(Driver& driver, int device) : driver_(driver) {
  int now = -1;
  entered_ = check(driver, driver.current_device(&now), "ask for the current device");
  if (!entered_ || now == device) return;
  entered_ = check(driver, driver.set_device(device), "choose the device");
  if (entered_) before_ = now;
}

DeviceScope::~DeviceScope() {
  if (before_ >= 0) driver_.set_device(before_);
}

}  // namespace moe::cuda
