// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime/base/result.h"
#include "runtime/cuda/driver.h"

namespace moe::cuda {

/// Whether peer copies from one device to another arrive as they left: patterns that differ in every word, of sizes
/// from a byte to several MiB, at even and odd addresses, each compared byte by byte on the host. Access is enabled
/// before. Errors: device, no_memory: the test could not be made.
Result<bool> test_peer_copies(Driver& driver, int to_device, int from_device);

}  // namespace moe::cuda
