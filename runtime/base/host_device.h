// SPDX-License-Identifier: Apache-2.0
// A function that the CUDA compiler makes for the device, too; for all other compilers an ordinary one.
#pragma once

#if defined(__CUDACC__)
#define MOE_HOST_DEVICE __host__ __device__
#else
#define MOE_HOST_DEVICE
#endif
