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

/* Sets what moe_last_error() says on this thread. */
MOE_API void moe_set_last_error(const char* text);

#ifdef __cplusplus
}
#endif
#endif /* MOE_RUNTIME_POLICY_OWNER_H */
