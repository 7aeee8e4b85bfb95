// SPDX-License-Identifier: Apache-2.0
// A policy's state: one block of memory, laid out by its Params, so that in a specialised kernel every address is the
// block's plus a constant. No pointers inside: the block may be copied.
#pragma once
#include "runtime/decision/abi.h"

namespace moe::decision {

/// Bytes of the state block; 64-byte alignment is required of it. Saturates nothing: shapes are checked when bound.
size_t state_bytes(const Params& params);

/// Prepares a fresh block: pins resident, and what is preloaded; everything else empty.
void init_state(const Params& params, void* state);

/// Carries residents from one policy's state to another's freshly initialised one (semantics: Swap): in order of last
/// use, freq from uses, EMA kept; what the new policy preloads gives way to them; the least recently used do not fit
/// and are reported in `left` (at most old's residents). Both params have the same shape. Returns the number of keys
/// written to `left`. Allocates nothing.
uint32_t adopt_state(const Params& old_params, const void* old_state, const Params& new_params, void* new_state,
                     uint32_t* left);

/// By key, the place of a resident, kNone of the others: [num_keys] inside the block, so valid as long as that. Only
/// between dispatches.
const uint32_t* places(const Params& params, const void* state);

/// Whether tier `tier` of its layer's set holds a key; the first one never says so. Only between dispatches.
bool tier_holds(const Params& params, void* state, uint32_t tier, uint32_t key);

/// In which precision the first tier holds a resident, as the policy has decided. Only between dispatches.
Dtype dtype_of_resident(const Params& params, const void* state, uint32_t key);

/// Most experts that wait beside the cache, with `side_buffer`.
uint32_t side_places(const Params& params);

/// What the policy decides under any of its rules that an engine cannot carry out, though a replay can: the clause as
/// the language writes it; null: nothing.
const char* beyond_engines(const Params& params);

/// The variant that decided the last dispatch, or `params`. O(1).
const Params& in_force(const Params& params, const void* state);

/// The statically compiled kernel of `params.eviction`, for processes without a compiler and as the benchmark's
/// baseline: the same headers as the JIT's, with the params read at run time. kInvalid for a policy with expressions or
/// with rules that change.
uint32_t static_dispatch(const Params& params, void* state, const Input* input, Output* output);

}  // namespace moe::decision
