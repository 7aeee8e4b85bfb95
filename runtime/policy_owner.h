/* SPDX-License-Identifier: Apache-2.0
 * What libmoec needs from libmoe beyond moe.h: exported under the version node MOE_PRIVATE, for no one else, and free
 * to change with every release. C, so that the two libraries share no C++ type. */
#ifndef MOE_RUNTIME_POLICY_OWNER_H
#define MOE_RUNTIME_POLICY_OWNER_H

#include "moe/moe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As moe_policy_from_descriptor, for a descriptor that lives in something: JIT code.
 *   free_fn  called once with `user`, from any thread, when neither handle nor runtime needs the descriptor any more;
 *            not called when this fails. May be NULL */
MOE_API moe_status moe_policy_from_descriptor_owned(const void* descriptor, void (*free_fn)(void* user), void* user,
                                                    moe_policy** out_policy);

/* A dispatch by whoever made the policy: a decision::DispatchFn with what it needs. */
typedef uint32_t (*moe_decide_fn)(const void* user, void* state, const void* input, void* output);

/* A policy that decides without code of its own, until that is there.
 *   params    a decision::Params; it and all it points to live in `user`
 *   decide    called with `user`; NULL: libmoe's own kernels decide, which is for policies without expressions, whose
 *             rules do not change
 *   manifest  its JSON; copied */
MOE_API moe_status moe_policy_from_params_owned(const void* params, moe_decide_fn decide, const char* manifest,
                                                void (*free_fn)(void* user), void* user, moe_policy** out_policy);

/* Better code of `policy` will follow: takes a reference that moe_policy_take_code gives back. Once per policy, before
 * another thread has it. */
MOE_API void moe_policy_expect_code(moe_policy* policy);

/* The expected code: dispatches that begin from now on run it. Any thread.
 *   descriptor  of the same policy; NULL where there is none after all, for the reason `status` and `error`
 *   free_fn     as above; always taken over */
MOE_API void moe_policy_take_code(moe_policy* policy, const void* descriptor, void (*free_fn)(void* user), void* user,
                                  moe_status status, const char* error);

/* What decision logs say of the policy's text: one JSON object, as compiler/program.h writes it. Before another thread
 * has the policy. Errors: INVALID, NO_MEMORY. */
MOE_API moe_status moe_policy_set_program(moe_policy* policy, const char* program);

/* Sets what moe_last_error() says on this thread. */
MOE_API void moe_set_last_error(const char* text);

#ifdef __cplusplus
}
#endif
#endif /* MOE_RUNTIME_POLICY_OWNER_H */
