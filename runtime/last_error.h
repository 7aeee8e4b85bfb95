// SPDX-License-Identifier: Apache-2.0
// What moe_last_error() says: a fixed buffer per thread, so that failing allocates nothing.
#pragma once
#include <exception>
#include <new>

#include "moe/moe.h"
#include "runtime/base/result.h"

namespace moe {

/// Keeps the text for this thread and returns `status`. One line, lower case, no final period.
[[gnu::format(printf, 2, 3)]] moe_status fail(moe_status status, const char* format, ...) noexcept;
moe_status fail(const Error& error) noexcept;

const char* last_error() noexcept;

/// Runs the body of an extern "C" function: no exception gets past it.
template <class F>
moe_status guarded(F&& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return fail(MOE_NO_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return fail(MOE_INTERNAL, "internal error: %s", e.what());
  } catch (...) {
    return fail(MOE_INTERNAL, "internal error: an exception of unknown type");
  }
}

}  // namespace moe
