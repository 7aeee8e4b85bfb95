// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "runtime/device/profile.h"

namespace moe::device {

/// Something about a machine that makes moving experts slower than it could be, or impossible.
struct Finding {
  std::string what;  ///< one line, lower case, no final period
  std::string todo;  ///< an action, likewise
};

/// Locked memory below a quarter of the RAM, io_uring or O_DIRECT refused, a folder in memory instead of on a disk, no
/// disk, less than a tenth of the RAM available, no AVX2.
std::vector<Finding> findings_of(const DeviceProfile& profile);

}  // namespace moe::device
