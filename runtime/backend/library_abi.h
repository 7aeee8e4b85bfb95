/* SPDX-License-Identifier: Apache-2.0 */
/* What a backend library exports: one function, which gives a table of C functions. runtime/backend/library.h opens it.
 *
 * The functions mean what runtime/backend/backend.h says of their namesakes, with its threads. A library and libmoe go
 * together when `version` is the same; there is no other promise between the two, they are built from one tree. No
 * exception crosses. */
#ifndef MOE_BACKEND_LIBRARY_ABI_H
#define MOE_BACKEND_LIBRARY_ABI_H

#include "moe/moe.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MOE_BACKEND_LIBRARY_VERSION 2
#define MOE_BACKEND_LIBRARY_SYMBOL "moe_backend_library_table"

/* Why something failed: one line, cut to the buffer's length. Written on failure only. */
typedef struct moe_backend_text {
  char text[512];
} moe_backend_text;

typedef struct moe_backend_settings {
  uint32_t device;       /* which one of the machine's, from 0 */
  uint32_t num_keys;     /* experts of all layers */
  uint64_t pinned_bytes; /* host memory that copies go through; 0: the library's choice */
} moe_backend_settings;

/* precision::CodedRows, field by field. */
typedef struct moe_backend_coded_rows {
  uint32_t format;
  uint32_t dtype;
  uint64_t rows, cols, group, row_bytes;
  const uint8_t* scales;
  const uint8_t* shifts;
  const uint8_t* codes;
} moe_backend_coded_rows;

typedef struct moe_backend_library {
  uint32_t version; /* MOE_BACKEND_LIBRARY_VERSION; stays the first field in all versions */
  uint32_t reserved;
  const char* name; /* "cuda" */

  /* Whether the machine has this device and it can be used. Any thread. */
  moe_status (*probe)(uint32_t device, moe_backend_text* why);
  /* Takes no device memory yet: allocate does. Written to *out_backend on MOE_OK only. */
  moe_status (*create)(const moe_backend_settings* settings, void** out_backend, moe_backend_text* why);
  void (*destroy)(void* backend);

  moe_status (*allocate)(void* backend, uint32_t num_slots, uint64_t slot_bytes, void** out_tier,
                         moe_backend_text* why);
  moe_status (*allocate_host)(void* backend, uint64_t size_bytes, void** out_memory, moe_backend_text* why);
  void (*expect_copy)(void* backend, uint32_t slot, uint32_t key, uint32_t urgent);
  moe_status (*start_copy)(void* backend, uint32_t slot, uint64_t offset, const void* source, uint64_t size,
                           uint32_t last, moe_backend_text* why);
  moe_status (*finish_copy)(void* backend, uint32_t slot, moe_backend_text* why);
  moe_status (*allocate_coded)(void* backend, uint64_t size_bytes, uint64_t most_bytes, void** out_memory,
                               moe_backend_text* why);
  moe_status (*fill_coded)(void* backend, void* to, const void* source, uint64_t size, moe_backend_text* why);
  moe_status (*start_decode)(void* backend, uint32_t slot, uint64_t offset, const moe_backend_coded_rows* rows,
                             uint32_t dtype, uint32_t on_device, uint32_t last, moe_backend_text* why);
  moe_status (*start_copy_on_device)(void* backend, uint32_t slot, uint64_t offset, const void* source, uint64_t size,
                                     uint32_t last, moe_backend_text* why);
  moe_status (*stream_wait)(void* backend, uint32_t slot, void* stream, moe_backend_text* why);
  moe_status (*last_use)(void* backend, uint32_t slot, void* stream, moe_backend_text* why);
  /* NULL: none of that name. */
  const void* (*functions)(void* backend, const char* name, void** out_device);
} moe_backend_library;

/* The one exported symbol, MOE_BACKEND_LIBRARY_SYMBOL. The table is static. */
typedef const moe_backend_library* (*moe_backend_library_fn)(void);

#ifdef __cplusplus
}
#endif
#endif /* MOE_BACKEND_LIBRARY_ABI_H */
