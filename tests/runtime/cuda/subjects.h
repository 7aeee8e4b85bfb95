// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "runtime/cuda/driver.h"
#include "runtime/cuda/functions.h"
#include "tests/runtime/cuda/conformance.h"

namespace moe::test {

Subject host_subject();

/// CudaBackend over any driver, which outlives it.
Subject cuda_subject(cuda::Driver& driver, cuda::Peers& peers, const moe_backend_settings& settings);

}  // namespace moe::test
