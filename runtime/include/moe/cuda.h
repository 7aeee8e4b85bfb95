/* SPDX-License-Identifier: Apache-2.0 */
/* moe/cuda.h: what the CUDA backend offers to an engine beside moe.h: for engines that link no CUDA themselves, and for
 * those that capture CUDA graphs. An engine needs neither CUDA's headers nor its libraries for this.
 *
 *     const moe_cuda_functions* cuda;
 *     moe_cuda_device* device;
 *     moe_backend_functions(runtime, MOE_CUDA_FUNCTIONS, (const void**)&cuda, (void**)&device);
 *
 * Conventions are moe.h's. A function that fails says why in cuda->last_error(), not in moe_last_error(). A `stream` is
 * a cudaStream_t of the device, not NULL; what takes one returns before its work is done unless its comment says
 * otherwise. Each call leaves the calling thread's current device as it was.
 *
 * CUDA graphs
 *   Dispatches and waits are calls of the host and stay outside of a graph. What is inside finds its experts through
 *   slot_table: capture kernels that read addresses from it; then, for each replay, moe_dispatch, moe_plan_wait of
 * every entry with the stream, launch the graph on that stream, moe_plan_release with it. */
#ifndef MOE_CUDA_H
#define MOE_CUDA_H

#include "moe/moe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The name for moe_backend_functions; another number when functions change in a way that callers must know. */
#define MOE_CUDA_FUNCTIONS "moe_cuda_1"

typedef struct moe_cuda_device moe_cuda_device;
typedef struct moe_cuda_ffn moe_cuda_ffn;

/* Rows of a matrix in the layout of stores, in device memory; see docs/precision.md. `native` rows have codes only. */
typedef struct moe_cuda_coded_rows {
  uint32_t struct_size;
  uint32_t dtype;     /* a moe_dtype: of scales and shifts, and of what was encoded; not MOE_OTHER */
  const char* format; /* "none", "qint8", "qint4", "qint2", "qfloat8_e4m3fn", "qfloat8_e5m2", "qfloat8_e4m3fnuz",
                       * "hadamard4" */
  uint64_t rows, cols;
  uint64_t group;     /* numbers that share a scale; divides cols */
  uint64_t row_bytes; /* of codes; what cols codes fill, or more */
  const void* scales; /* [rows][cols / group] */
  const void* shifts; /* the same; of qint4 and qint2 only */
  const void* codes;  /* [rows][row_bytes] */
} moe_cuda_coded_rows;

/* An expert that computes down(silu(gate(x)) * up(x)); matrices are row-major, a row per output, as moe_store_part
 * says. */
typedef struct moe_cuda_ffn_config {
  uint32_t struct_size;
  uint32_t dtype;  /* a moe_dtype: of the weights; not MOE_OTHER */
  uint32_t hidden; /* gate and up: [width][hidden]; down: [hidden][width] */
  uint32_t width;
  uint64_t gate_offset, up_offset, down_offset; /* bytes from the expert's begin; multiples of 16 */
  uint32_t max_tokens;                          /* in one ffn_begin */
  uint32_t max_rows;                            /* of its result */
} moe_cuda_ffn_config;

typedef enum moe_cuda_path {
  MOE_CUDA_PATH_PEER = 0,  /* from device to device; a test copy came through unharmed, both ways */
  MOE_CUDA_PATH_STAGED = 1 /* through page-locked host memory: there is no peer access, or it harmed the test copy */
} moe_cuda_path;

typedef struct moe_cuda_functions {
  uint32_t struct_size; /* the library's; functions beyond it are not there */
  uint32_t reserved;

  /* What the calling thread's last failing call of this table had to say; "" when none failed. */
  const char* (*last_error)(void);

  moe_status (*stream_create)(moe_cuda_device* device, void** out_stream);
  moe_status (*stream_destroy)(moe_cuda_device* device, void* stream);
  /* Waits until all that is queued on the stream has ended. Errors: DEVICE, also for what failed on it. */
  moe_status (*stream_synchronize)(moe_cuda_device* device, void* stream);

  /* Device memory: [num_layers * num_experts] addresses, entry layer * num_experts + expert. Behind a moe_plan_wait
   * with a stream, the addresses of what it waited for are there, in that stream's order; others are old, or 0. The
   * table stays where it is. Experts that a plan has computed on the host are not in it. */
  moe_status (*slot_table)(moe_cuda_device* device, const uint64_t** out_table);

  /* Decodes all rows into `out`, [rows][cols] numbers of `dtype` in device memory: the bits that the CPU's codecs give
   * (but of NaNs, which stay NaNs). Errors: INVALID, DEVICE. */
  moe_status (*dequantize)(moe_cuda_device* device, const moe_cuda_coded_rows* rows, uint32_t dtype, void* out,
                           void* stream);

  /* Copies between memory of two devices (of two runtimes), in the order of `stream`, which is of `from`. The first
   * copy of a pair tests it: some machines corrupt peer copies. Errors: DEVICE, NO_MEMORY. Any thread. */
  moe_status (*copy_between)(moe_cuda_device* to, void* target, moe_cuda_device* from, const void* source,
                             uint64_t size_bytes, void* stream);
  /* Which way copy_between goes; tests the pair if need be. */
  moe_status (*peer_path)(moe_cuda_device* to, moe_cuda_device* from, uint32_t* out_path);

  /* A feed-forward network for the experts of one shape, with its scratch memory on the device. It needs cuBLASLt,
   * which is looked for now. Destroy it before the runtime, when its streams are idle. Threads: one at a time. Errors:
   * INVALID, NO_MEMORY, UNSUPPORTED (no cuBLASLt), DEVICE. */
  moe_status (*ffn_create)(moe_cuda_device* device, const moe_cuda_ffn_config* config, moe_cuda_ffn** out_ffn);
  void (*ffn_destroy)(moe_cuda_ffn* ffn);
  /* Begins a layer: `x`, host memory, [num_tokens][hidden]; the result of num_rows rows is all 0. */
  moe_status (*ffn_begin)(moe_cuda_ffn* ffn, const float* x, uint32_t num_tokens, uint32_t num_rows, void* stream);
  /* Row rows[i] of the result becomes the expert's output for token tokens[i]. `expert` is a plan entry's `data`, in
   * the device's memory; `tokens` and `rows` are host memory and not needed afterwards. Tokens and activations are
   * rounded to the weights' dtype, sums are binary32. */
  moe_status (*ffn_expert)(moe_cuda_ffn* ffn, const void* expert, const uint32_t* tokens, const uint32_t* rows,
                           uint32_t count, void* stream);
  /* Waits, and copies the result into `out`, host memory, [num_rows][hidden]. */
  moe_status (*ffn_end)(moe_cuda_ffn* ffn, float* out, void* stream);
} moe_cuda_functions;

#ifdef __cplusplus
}
#endif
#endif /* MOE_CUDA_H */
