/* SPDX-License-Identifier: Apache-2.0 */
/* moe.h: the C ABI of the MoE expert-policy runtime.
 *
 * A Mixture-of-Experts model keeps most of its weights in experts that few tokens use. This runtime keeps some experts
 * in a *fast tier* (device memory, or a separate allocation on the host backend), moves the others in when a layer
 * needs them, and lets a compiled *policy* decide which stay, which are fetched early and what a miss does.
 *
 * The life of an engine that embeds it:
 *
 *     moe_runtime_create        the model's shape, the backend, the budget
 *     moe_store_open            where the expert weights come from (a safetensors folder), or moe_store_add
 *     moe_policy_load           a policy compiled ahead of time; or moe_policy_compile from libmoec
 *     moe_policy_attach         first attach, and every later swap
 *     for every MoE layer of every forward pass:
 *         moe_hint              optional: what a later layer will probably need
 *         moe_dispatch          the router's choice in, a plan out
 *         for each entry of the plan, in order:
 *             moe_plan_wait     the expert's weights are at entry.data
 *             ... compute ...
 *             moe_plan_done     the entry's last use has been queued
 *         moe_plan_release
 *     moe_runtime_destroy
 *
 * Conventions
 *
 *   Status: every function returns a moe_status; outputs are last and written on MOE_OK only. The text of the last
 *   error of the calling thread is moe_last_error(). No C++ exception and no exit crosses this line.
 *
 *   Structs: every public struct begins with `struct_size`, set by the caller to sizeof its type. New fields come
 *   last; a library that knows more of them than the caller leaves these at their defaults, and writes none of them.
 *
 *   Ownership: what a function returns by pointer belongs to the runtime unless its comment says otherwise.
 *
 *   Threads: one dispatching thread per runtime at a time (a second gets MOE_BUSY); wait, done, release, hint, attach,
 *   stats and the decision log may be called from any thread. create and destroy must not race with anything else.
 *
 *   Misuse: a wrong handle, an id out of range, a release twice: MOE_INVALID, and nothing changes.
 *
 *   Cost: moe_dispatch allocates nothing, takes no lock and makes no system call.
 */
#ifndef MOE_MOE_H
#define MOE_MOE_H

#include <stddef.h>
#include <stdint.h>

#if defined(MOE_STATIC)
#define MOE_API
#elif defined(__GNUC__)
#define MOE_API __attribute__((visibility("default")))
#else
#define MOE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- versions and status -------------------------------------------------------------------------------------- */

#define MOE_VERSION_MAJOR 0
#define MOE_VERSION_MINOR 1
#define MOE_VERSION_PATCH 0

typedef enum moe_status {
  MOE_OK = 0,
  MOE_INVALID = 1,        /* an argument breaks this header's contract; nothing changed */
  MOE_BUSY = 2,           /* another thread is inside moe_dispatch of this runtime */
  MOE_FULL = 3,           /* no room: too many unreleased plans, or a policy larger than the fast tier */
  MOE_NO_MEMORY = 4,      /* the fast tier or the runtime's own tables could not be allocated */
  MOE_IO = 5,             /* a file could not be opened, mapped or read */
  MOE_FORMAT = 6,         /* a file is not what it should be: the error text gives the offset and the reason */
  MOE_UNSUPPORTED = 7,    /* understood, but this build or version cannot do it */
  MOE_WOULD_DEADLOCK = 8, /* waiting could never end: earlier streamed entries are not done */
  MOE_POLICY_ERROR = 9,   /* the policy has errors: see the diagnostics */
  MOE_DEVICE = 10,        /* the backend's device failed */
  MOE_INTERNAL = 11       /* a fault of this library */
} moe_status;

/* The version of the library that is running, as MAJOR * 10000 + MINOR * 100 + PATCH. Any thread. */
MOE_API uint32_t moe_version(void);

/* A static English name of `status`, never NULL. Any thread. */
MOE_API const char* moe_status_text(moe_status status);

/* What the calling thread's last failing call had to say: one line, lower case, no final period. Valid until that
 * thread's next call into this library; "" when nothing failed yet. */
MOE_API const char* moe_last_error(void);

/* ---- the runtime ---------------------------------------------------------------------------------------------- */

typedef struct moe_runtime moe_runtime;
typedef struct moe_policy moe_policy;
typedef struct moe_diagnostics moe_diagnostics;

/* The shape a policy is specialised for and a runtime is created with. */
typedef struct moe_model_shape {
  uint32_t struct_size;
  uint32_t num_layers;   /* MoE layers, 1..4096 */
  uint32_t num_experts;  /* routed experts per layer, 1..65534 */
  uint32_t top_k;        /* experts per token, 1..num_experts */
  uint64_t expert_bytes; /* bytes of one expert's weights as stored; 0 when unknown: usual before moe_store_open, which
                          * then finds it; policies that count in slots work without */
} moe_model_shape;

typedef enum moe_backend {
  MOE_BACKEND_HOST = 0, /* the fast tier is a separate allocation in host memory: for tests, and for CPU inference */
  MOE_BACKEND_CUDA = 1  /* the memory of an NVIDIA device, by libmoe_cuda.so; moe/cuda.h has what is its own */
} moe_backend;

typedef enum moe_log_level {
  MOE_LOG_ERROR = 0,
  MOE_LOG_WARNING = 1,
  MOE_LOG_INFO = 2,
  MOE_LOG_DEBUG = 3
} moe_log_level;

/* Called without any internal lock held, from the thread that found the event. `text` is one line, valid during the
 * call. */
typedef void (*moe_log_fn)(void* user, moe_log_level level, const char* text);

/* Allocator hooks for the runtime's own tables and the host fast tier. `alignment` is a power of two. alloc returns
 * NULL when it has no memory. Both may be called from any thread, never from moe_dispatch. */
typedef void* (*moe_alloc_fn)(void* user, size_t size, size_t alignment);
typedef void (*moe_free_fn)(void* user, void* memory, size_t size);

typedef struct moe_runtime_config {
  uint32_t struct_size;
  uint32_t backend; /* a moe_backend */
  moe_model_shape shape;
  uint64_t fast_bytes;       /* size of the fast tier, streaming slots included; 0: as many slots as the first attached
                              * policy wants. What the device has no room for beyond those is left out, with a warning
                              * to `log`; moe_stats_t.fast_tier_bytes says what there is */
  uint32_t streaming_slots;  /* slots beyond the policy's capacity, for experts that pass through; 0: 2; at least 2 */
  uint32_t max_plans;        /* plans that may be unreleased at one time, 0: 8 */
  uint32_t max_tokens;       /* tokens in one dispatch, 0: 4096 */
  uint32_t reserved;         /* 0 */
  uint64_t link_bytes_per_s; /* limit of the link between store and fast tier; 0: none */
  moe_log_fn log;            /* NULL: silent */
  void* log_user;
  moe_alloc_fn alloc; /* NULL: the C++ runtime's; both or none */
  moe_free_fn free;
  void* alloc_user;
  uint64_t decision_log_bytes; /* size of the decision log, see moe_decision_log_write; 0: none, which costs nothing */
  uint64_t disk_bytes_per_s;   /* limit of the link between disk and host memory; 0: none */
  uint32_t staging_slots;      /* slots of host memory beyond the policy's host tiers, for experts on their way from
                                * disk; 0: 8; at least 2 */
  uint32_t device;             /* CUDA: the ordinal of the runtime's device; several devices take a runtime each */
  uint64_t timeline_bytes;     /* size of the timeline, see moe_timeline_write; 0: none, which costs nothing */
  uint64_t pinned_bytes;       /* CUDA: page-locked host memory that copies go through; 0: 16 MiB */
  const char* backend_library; /* CUDA: path of libmoe_cuda.so; NULL: it lies beside libmoe, or where the dynamic loader
                                * looks. Borrowed during the call */
} moe_runtime_config;

/* Creates a runtime. The fast tier is allocated by the first attach.
 *   config       borrowed during the call
 *   out_runtime  destroy with moe_runtime_destroy
 * Errors: INVALID (shape, S < 2), NO_MEMORY, UNSUPPORTED (no such backend; its library is not there, or of another
 * version), DEVICE (no driver, no such device, or one that is too old: the error text says which). */
MOE_API moe_status moe_runtime_create(const moe_runtime_config* config, moe_runtime** out_runtime);

/* Stops the transfer thread, frees everything and ends every plan. NULL is fine. No other call may be running. */
MOE_API moe_status moe_runtime_destroy(moe_runtime* runtime);

/* Functions of the runtime's backend for the engine's own device code, such as those of moe/cuda.h.
 *   name           of the table, e.g. MOE_CUDA_FUNCTIONS; its header says what stands behind out_functions
 *   out_functions  static
 *   out_device     what they are called with; lives as long as the runtime
 * Errors: UNSUPPORTED (the backend has no such table), INVALID (no policy is attached yet). Any thread. */
MOE_API moe_status moe_backend_functions(moe_runtime* runtime, const char* name, const void** out_functions,
                                         void** out_device);

/* ---- the expert store ----------------------------------------------------------------------------------------- */

typedef enum moe_dtype { MOE_F32 = 0, MOE_F16 = 1, MOE_BF16 = 2, MOE_OTHER = 255 } moe_dtype;

/* A tensor in the store's mapped files. */
typedef struct moe_tensor_view {
  uint32_t struct_size;
  uint32_t dtype; /* a moe_dtype */
  uint32_t rank;  /* 0..4 */
  uint32_t reserved;
  uint64_t shape[4]; /* row-major; unused dimensions are 1 */
  const void* data;  /* valid while the runtime lives; at least 1-byte aligned */
  uint64_t size_bytes;
} moe_tensor_view;

/* One weight of an expert and where it lies in every slot. Parts are in alphabetical order of `name`; each begins at a
 * multiple of 64 bytes, so a slot may be a little larger than the sum of its parts. */
typedef struct moe_expert_part {
  uint32_t struct_size;
  uint32_t dtype; /* a moe_dtype */
  uint32_t rank;
  uint32_t reserved;
  uint64_t shape[4];
  uint64_t offset; /* bytes from moe_plan_entry.data */
  uint64_t size_bytes;
  const char* name; /* what follows `experts.N.` in the tensor's name, e.g. "gate_proj.weight" */
} moe_expert_part;

/* Opens a store that `moec pack` wrote; a Hugging Face model folder: model.safetensors, or the shards that
 * model.safetensors.index.json names; or a Chronos expert cache. Files are mapped read-only. A store's experts stay on
 * disk: the first attach reads them all into memory, unless its policy has a tier with `location = disk`; each is
 * compared with its checksum when it is read. Tensors named `...layers.L. ... .experts.E.PART` become expert E of the
 * L-th MoE layer (layers that have no experts are not counted), and so does the E-th matrix of a tensor
 * `...layers.L. ... .experts.PART` of three dimensions. Every expert must have the same parts. Errors: IO, FORMAT
 * (hostile or damaged file: says the offset and the reason), INVALID (another shape than the runtime's, or a store is
 * already there). Any thread, before the first attach. */
MOE_API moe_status moe_store_open(moe_runtime* runtime, const char* model_dir);

/* Adds one expert from memory that the engine owns and keeps unchanged until the runtime is destroyed. Its one part is
 * the whole of it. All experts must have one size; every expert must be there before the first attach.
 * Errors: INVALID. */
MOE_API moe_status moe_store_add(moe_runtime* runtime, uint32_t layer, uint32_t expert, const void* bytes,
                                 uint64_t size);

/* Finds any tensor of an opened store by its full name. One of an expert that `moec pack` wrote is read from its file.
 * Errors: INVALID (no such tensor, no opened store), FORMAT (the expert's checksum is wrong). */
MOE_API moe_status moe_store_tensor(moe_runtime* runtime, const char* name, moe_tensor_view* out_tensor);

/* The layout of a slot. `index` counts from 0; MOE_INVALID at the end. */
MOE_API moe_status moe_store_part(moe_runtime* runtime, uint32_t index, moe_expert_part* out_part);

/* ---- policies ------------------------------------------------------------------------------------------------- */

typedef struct moe_compile_options {
  uint32_t struct_size;
  uint32_t opt_level;          /* 0..3; 2 is usual */
  moe_model_shape shape;       /* what the policy is specialised for */
  const char* policy_name;     /* NULL: the file's only policy */
  const char* file_name;       /* for messages; NULL: "<memory>" */
  uint32_t capacity_slots;     /* overrides cache.capacity; 0: as written */
  uint32_t streaming_slots;    /* what `capacity = auto` leaves for streaming; 0: 2 */
  uint64_t fast_bytes;         /* what `capacity = auto` fills, at shape.expert_bytes a slot; 0: unknown */
  const char* const* settings; /* "name=value" for the policy's params */
  uint32_t num_settings;
  uint32_t reserved;
  uint32_t wait; /* 1: return with code of opt_level; 0: with what runs soonest, see moe_policy_compile */
  uint32_t reserved2;
} moe_compile_options;

/* One finding about a policy's text. Strings live as long as the moe_diagnostics they came from. */
typedef struct moe_diagnostic {
  uint32_t struct_size;
  uint32_t severity; /* 0 error, 1 warning, 2 note */
  const char* code;  /* "MOE2103": stable */
  const char* message;
  const char* hint;    /* an action, or "" */
  uint32_t line;       /* from 1; 0 when the finding has no place */
  uint32_t column;     /* from 1, in bytes */
  uint64_t begin, end; /* half-open byte range in the source */
} moe_diagnostic;

/* Compiles a policy's text to native code in this process. In libmoec (link with -lmoec), not in libmoe.
 *   source, size      UTF-8, need not end in NUL; borrowed during the call
 *   out_policy        destroy with moe_policy_destroy
 *   out_diagnostics   may be NULL; else always written (NULL when there are no findings), also on MOE_POLICY_ERROR:
 *                     the one output of this header that is written on failure
 *
 * Returns as soon as something can run: libmoe's own kernels where the policy has no expressions and its rules do not
 * change, else libmoec's, for which nothing is compiled. A thread of libmoec compiles at opt_level meanwhile; the
 * dispatch that begins after it is done runs the new code. Decisions and state are the same with either, so nothing is
 * to be done about it. The policy may be attached, swapped and destroyed at any time; a process that ends waits for the
 * compilation in progress, not for others. moe_policy_wait waits for it; `wait` = 1, or opt_level 0, compiles in the
 * call.
 *
 * Code is kept on disk and found again by later processes, which then start without compiling: in $MOE_CACHE_DIR, or
 * $XDG_CACHE_HOME/moe, or ~/.cache/moe; MOE_CACHE_DIR="" turns that off. The folder must belong to the user and to
 * nobody else (mode 0700, no symbolic link); otherwise it is not used, and moe_last_error() says so after a call that
 * returned MOE_OK. What is found there runs only if it was made from the same policy, shape and settings by the same
 * build for this processor, and is undamaged. At most 64 MiB are kept, what was not used longest goes first.
 *
 * Errors: POLICY_ERROR, INVALID, INTERNAL, UNSUPPORTED (no native code is made for some part of it). Any thread. */
MOE_API moe_status moe_policy_compile(const char* source, size_t size, const moe_compile_options* options,
                                      moe_policy** out_policy, moe_diagnostics** out_diagnostics);

MOE_API uint32_t moe_diagnostics_count(const moe_diagnostics* diagnostics);
MOE_API moe_status moe_diagnostics_get(const moe_diagnostics* diagnostics, uint32_t index, moe_diagnostic* out_finding);
/* All findings as a terminal would show them, with the source lines; lives as long as `diagnostics`. */
MOE_API const char* moe_diagnostics_text(const moe_diagnostics* diagnostics);
MOE_API void moe_diagnostics_destroy(moe_diagnostics* diagnostics);

/* Loads a policy that `moec compile -o p.so` made. Its manifest is read and checked before any of its code is mapped.
 * Like any shared library it is code: load only what you trust.
 * Errors: IO, FORMAT (not a policy), UNSUPPORTED (made for another version or processor). Any thread. */
MOE_API moe_status moe_policy_load(const char* path_to_so, moe_policy** out_policy);

/* A policy object that was linked into the engine (`moec compile -o p.o`), by its symbol `moe_policy_NAME`.
 *   descriptor  lives as long as the policy */
MOE_API moe_status moe_policy_from_descriptor(const void* descriptor, moe_policy** out_policy);

/* The policy that keeps every expert of `shape` resident: the baseline, and what an engine with enough memory wants. */
MOE_API moe_status moe_policy_resident(const moe_model_shape* shape, moe_policy** out_policy);

/* Waits until no better code of the policy is being made: at once unless moe_policy_compile made it and still works on
 * it. Errors: INVALID, and what that compilation ended with; the policy runs then on the code that it has. Any thread,
 * but not moe_dispatch's if a pause matters. */
MOE_API moe_status moe_policy_wait(moe_policy* policy);

/* The policy's manifest: one JSON object with name, num_layers, num_experts, top_k, capacity, eviction, ... and
 * exactness: "exact", "exact_on_host" (some misses are computed on the host) or "approximate". Lives as long as
 * `policy`. */
MOE_API const char* moe_policy_manifest(const moe_policy* policy);

/* Gives the handle back. A runtime that has the policy attached keeps what it needs. NULL is fine. Any thread. */
MOE_API moe_status moe_policy_destroy(moe_policy* policy);

/* Attaches a policy: the first time allocates the fast tier, starts the transfer thread and loads the pinned experts;
 * later times swap. A swap takes effect at the next dispatch, keeps what is resident (in order of last use) and never
 * makes a dispatch wait.
 *
 * A policy with `tiers` and a tier with `location = disk` streams experts from a store that `moec pack` wrote: its host
 * tiers' capacity and staging_slots are what host memory holds of them, in slots of an expert's bytes rounded up to 4
 * KiB, allocated by the first attach. A thread of its own reads them with io_uring and O_DIRECT, or pread where the
 * kernel refuses. Where the first policy has no such tier every expert stays in host memory, whatever later ones say.
 *
 * A tier with a `dtype`, and a rung of `precision`, want the store's copies in that format (`moec pack --precision`):
 * a load then moves fewer bytes, and is decoded where it arrives. A GPU tier below the first has memory of its own
 * beside fast_bytes, for as many experts as it holds, packed; the first policy's is what later ones have.
 *
 * Errors: INVALID (other shape, no store), FULL (needs more slots than the fast tier, the tiers below or host memory
 * have), NO_MEMORY, IO, FORMAT (a checksum is wrong), UNSUPPORTED (tiers on disk over a checkpoint that was not packed;
 * a precision that the store does not have; a part of the policy that only a replay can carry out). Any thread. */
MOE_API moe_status moe_policy_attach(moe_runtime* runtime, moe_policy* policy);

/* ---- dispatch ------------------------------------------------------------------------------------------------- */

typedef enum moe_phase { MOE_PHASE_DECODE = 0, MOE_PHASE_PREFILL = 1 } moe_phase;

/* One MoE layer's routing for one batch of tokens. */
typedef struct moe_dispatch_args {
  uint32_t struct_size;
  uint32_t layer;       /* 0..num_layers-1 */
  uint32_t num_tokens;  /* 1..max_tokens */
  uint32_t top_k;       /* the shape's */
  const int32_t* ids;   /* [num_tokens][top_k], each in 0..num_experts-1, no repeats within a token */
  const float* weights; /* [num_tokens][top_k], >= 0; NULL: all 1 */
  uint32_t phase;       /* a moe_phase */
  uint32_t reserved;
  const uint32_t* request_ids; /* [num_tokens], or NULL */
  const float* probabilities;  /* [num_tokens][num_experts], or NULL */
} moe_dispatch_args;

typedef enum moe_action {
  MOE_ACTION_HIT = 0,      /* resident and there */
  MOE_ACTION_LATE = 1,     /* resident, but its transfer is still under way */
  MOE_ACTION_LOAD = 2,     /* a miss: loaded now, stays; one that leaves again at once is in `evicted` too */
  MOE_ACTION_STREAM = 3,   /* a miss: passes through a streaming slot, for this plan only */
  MOE_ACTION_CPU = 4,      /* a miss: compute on the host, from entry.data in host memory; nothing moves */
  MOE_ACTION_CPU_LOAD = 5, /* the same, and it is loaded behind for next time */
  MOE_ACTION_DEGRADE = 6,  /* a miss: a copy of lower precision, which a GPU tier of the policy holds, is decoded into
                            * a streaming slot, for this plan only; the full one is loaded behind */
  MOE_ACTION_SHARED = 7,   /* a miss: the model's shared expert stands in, S(x) in place of E(x), with the same router
                            * weight; what it adds to every token anyway it still adds. A model without one: as SKIP */
  MOE_ACTION_SKIP = 8      /* a miss: left out, it adds nothing. The other weights stay as they are */
} moe_action;

#define MOE_NO_SLOT 0xFFFFFFFFu

/* The format that an expert's weights were in before they were decoded; docs/precision.md has them. */
typedef enum moe_precision {
  MOE_PRECISION_NATIVE = 0, /* the model's own: the weights are what they are */
  MOE_PRECISION_QINT8 = 1,
  MOE_PRECISION_QINT4 = 2,
  MOE_PRECISION_QINT2 = 3,
  MOE_PRECISION_QFLOAT8_E4M3FN = 4,
  MOE_PRECISION_QFLOAT8_E5M2 = 5,
  MOE_PRECISION_QFLOAT8_E4M3FNUZ = 6,
  MOE_PRECISION_HADAMARD4 = 7
} moe_precision;

/* One expert that the dispatch needs. */
typedef struct moe_plan_entry {
  uint32_t struct_size; /* the library's sizeof; entries of a plan are this far apart */
  uint32_t expert;
  uint32_t action;          /* a moe_action */
  uint32_t slot;            /* slot of the fast tier; MOE_NO_SLOT for CPU, CPU_LOAD, SHARED and SKIP, and before
                             * moe_plan_wait for an entry whose slot an earlier entry still uses */
  uint32_t num_selections;  /* (token, k) pairs that chose it */
  uint32_t first_selection; /* into moe_plan.selections */
  float weight;             /* the largest of its router weights */
  uint32_t precision;       /* a moe_precision: of the weights at `data`, which are numbers of the parts' dtype all the
                             * same. Another than native for DEGRADE, and where the policy's tiers say so */
  const void* data;         /* the expert's bytes, laid out as moe_store_part says: in the fast tier, or in host
                             * memory for the CPU actions; NULL for SHARED and SKIP. Read it after moe_plan_wait, until
                             * moe_plan_done */
} moe_plan_entry;

/* What a dispatch decided. The caller owns the struct; what it points at is the runtime's and lives until release. */
typedef struct moe_plan {
  uint32_t struct_size;
  uint32_t layer;
  uint64_t id; /* names the plan in the calls below; 0: none */
  uint32_t num_entries;
  uint32_t num_evicted;
  uint32_t num_prefetched;
  uint32_t reserved;
  const moe_plan_entry* entries; /* [num_entries], unique experts in order of first appearance */
  const uint32_t* selections;    /* token * top_k + k, grouped by entry, ascending within one; not those of `dropped` */
  const uint32_t* evicted;       /* [num_evicted][2]: layer, expert of every pair that left, in order, whatever the
                                  * cause; what left at a swap is in the plan after it */
  const uint32_t* prefetched;    /* [num_prefetched][2]: every prefetch queued, in order */
  uint32_t num_fired;
  uint32_t num_signals;
  const uint32_t* fired;      /* [num_fired]: rules of the policy's `adapt` that fired at the end of this dispatch, by
                               * place from 0, in order. Unlike the above, this and `signals` live until the next
                               * moe_dispatch */
  const char* const* signals; /* [num_signals]: what their `signal "NAME"` say to the engine, in order. For the engine
                               * to act on or not: the policy has done what its other actions say */
  uint32_t num_dropped;
  uint32_t reserved2;
  const uint32_t* dropped; /* [num_dropped]: experts that were selected and that the policy's `drop` left out of the
                            * dispatch; they have no entry and add nothing. Lives until the next moe_dispatch */
} moe_plan;

/* Asks the attached policy what to do for one layer and queues the transfers it wants.
 * On failure nothing changes. An expert named in an unreleased plan stays where the plan says it is, whatever the
 * policy, a swap or later dispatches do. Errors: INVALID (bad ids or weights, no policy), BUSY, FULL (max_plans
 * unreleased plans). Threads: one at a time. Cost: tens of nanoseconds plus the plan. */
MOE_API moe_status moe_dispatch(moe_runtime* runtime, const moe_dispatch_args* args, moe_plan* out_plan);

/* Waits until entry `index` may be read. stream NULL: the calling thread waits; else `stream` (a cudaStream_t on the
 * CUDA backend) waits for the expert's event and the call returns at once. Entries are to be consumed in order: an
 * entry without a slot gets one when an earlier streamed entry is done. Errors: INVALID, WOULD_DEADLOCK (its slot is
 * held by entries that are not done), IO (the load failed), DEVICE. */
MOE_API moe_status moe_plan_wait(moe_runtime* runtime, const moe_plan* plan, uint32_t index, void* stream);

/* Says that the last use of entry `index` has been queued on `stream` (NULL: has ended). A streaming slot may then be
 * refilled, in stream order. Errors: INVALID (also when the entry was done already). */
MOE_API moe_status moe_plan_done(moe_runtime* runtime, const moe_plan* plan, uint32_t index, void* stream);

/* Ends a plan: done for all its entries. Errors: INVALID (also when it was released already). */
MOE_API moe_status moe_plan_release(moe_runtime* runtime, const moe_plan* plan, void* stream);

/* What the engine expects a later layer to need, for prefetch strategy `gate`: usually that layer's router applied to
 * this layer's hidden state. Replaces an earlier hint for the layer; used up by the layer's dispatch.
 *   ids            [n], in 0..num_experts-1, no repeats, n <= num_experts
 *   probabilities  [n], each in [0, 1]
 * Errors: INVALID. Any thread; never makes a dispatch wait. */
MOE_API moe_status moe_hint(moe_runtime* runtime, uint32_t layer, const int32_t* ids, const float* probabilities,
                            uint32_t n);

/* ---- statistics ----------------------------------------------------------------------------------------------- */

/* Counters since the runtime was created. Monotonic except the two gauges. */
typedef struct moe_stats_t {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t dispatches, tokens;
  uint64_t accesses;   /* unique experts of dispatches */
  uint64_t selections; /* (token, k) pairs */
  uint64_t hits;       /* late hits included */
  uint64_t late_hits, misses;
  uint64_t loads;   /* demand loads that stay */
  uint64_t streams; /* demand loads that pass through */
  uint64_t cpu;     /* misses computed on the host, with or without a load behind */
  uint64_t evictions;
  uint64_t prefetched;         /* prefetches queued */
  uint64_t prefetch_used;      /* prefetched experts used before they left */
  uint64_t prefetch_cancelled; /* stale before they started */
  uint64_t bytes_moved;        /* into the fast tier, whatever the cause */
  uint64_t stall_ns;           /* time moe_plan_wait spent waiting */
  uint64_t swaps;              /* policies that took effect after the first */
  uint64_t failed_loads;
  uint64_t fast_tier_bytes;   /* gauge: size of the fast tier */
  uint64_t resident;          /* gauge: experts resident now */
  double window_hit_rate;     /* over the policy's monitor window; 0 before the first dispatch */
  uint64_t approximated;      /* selections whose expert was not computed: SHARED, SKIP, dropped */
  uint64_t disk_bytes;        /* experts read from disk; not those that the engine's host computes from a mapped file */
  uint64_t host_bytes;        /* gauge: size of the host memory for experts that are read from disk */
  uint64_t degraded;          /* misses served by DEGRADE */
  uint64_t lower_precision;   /* selections computed with weights of lower precision than the model's, DEGRADE's among
                               * them */
  uint64_t device_tier_bytes; /* gauge: size of the GPU tiers below the first, beside the fast tier */
} moe_stats_t;

/* Any thread; stops nobody. The counters are each exact, and together as of nearly the same moment. */
MOE_API moe_status moe_stats(moe_runtime* runtime, moe_stats_t* out_stats);

/* The same as one JSON object with the totals and per-layer counters. Writes at most `capacity` bytes with the final
 * NUL and the length needed (without NUL) to out_length. Errors: FULL when it did not fit. */
MOE_API moe_status moe_stats_json(moe_runtime* runtime, char* buffer, size_t capacity, size_t* out_length);

/* ---- the decision log ----------------------------------------------------------------------------------------- */

/* Writes the runtime's decision log to a file, from which `moec explain --decision N --log FILE` says why dispatch N
 * decided as it did: who could have left, with which values, by which rule. The runtime keeps one when its config has
 * decision_log_bytes: a ring of that size (rounded down to a power of two, at most 1 GiB) with the inputs of the last
 * dispatches, and the policy's state every quarter of it, so that decisions can be made again after it has wrapped. One
 * token of a layer with top-8 and weights takes 96 bytes. A dispatch larger than a quarter of the ring is left out.
 *   path  replaced as a whole; holds routing of what the engine computed, and is readable by the user only
 * Dispatches are counted from 0, as moe_stats_t.dispatches counts them. The file names each policy, and has the text of
 * those that moe_policy_compile made; it is read where that text's imports are. Errors: INVALID (no log is kept), IO,
 * NO_MEMORY. Any thread; never makes a dispatch wait: what is overwritten meanwhile is left out. */
MOE_API moe_status moe_decision_log_write(moe_runtime* runtime, const char* path);

/* ---- the timeline --------------------------------------------------------------------------------------------- */

/* Writes what the runtime did when, as a file in the Trace Event Format that chrome://tracing and
 * https://ui.perfetto.dev show: a row for each link with every transfer (expert, bytes, and its class: demand,
 * background, prefetch), and a row for each layer with its dispatches and what they waited for. The runtime keeps one
 * when its config has timeline_bytes: four rings of a quarter of that each (rounded down to a power of two), an event
 * takes 40 bytes, the newest stay. A dispatch costs two looks at the clock more then.
 *   path  replaced as a whole, readable by the user only
 * Errors: INVALID (no timeline is kept), IO, NO_MEMORY. Any thread; never makes a dispatch wait. */
MOE_API moe_status moe_timeline_write(moe_runtime* runtime, const char* path);

#ifdef __cplusplus
}
#endif
#endif /* MOE_MOE_H */
