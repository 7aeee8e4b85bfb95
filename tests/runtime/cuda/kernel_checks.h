// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "runtime/cuda/driver.h"
#include "tests/runtime/cuda/conformance.h"

namespace moe::test {

/// Decodes experts of every format and dtype by the table of moe/cuda.h and compares each bit with the CPU's codecs.
/// `subject` is a CudaBackend over `driver`, allocated.
void check_dequantize(cuda::Driver& driver, Subject& subject);

/// The feed-forward network of moe/cuda.h against one in binary64, on the numbers as they are rounded.
void check_ffn(cuda::Driver& driver, Subject& subject);

}  // namespace moe::test
