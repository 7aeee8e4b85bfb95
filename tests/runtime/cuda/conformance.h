// SPDX-License-Identifier: Apache-2.0
// What runtime/backend/backend.h asks of every backend.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/backend/backend.h"

namespace moe::test {

/// A backend and the means to look at its memory.
struct Subject {
  std::string name;
  std::unique_ptr<backend::Backend> backend;
  /// Copies from the fast tier to `to` on the calling thread.
  std::function<void(void* to, const void* tier, size_t size_bytes)> read;

  // Of backends with streams:
  std::function<void*()> make_stream;
  std::function<void(void* stream)> destroy_stream;
  std::function<void(void* stream)> synchronize;
  /// The same as `read` in the stream's order; `to` comes from `host_memory` and is valid after synchronize.
  std::function<void(void* to, const void* tier, size_t size_bytes, void* stream)> queue_read;
  std::function<void*(size_t size_bytes)> host_memory;  ///< lives as long as the subject
};

/// Runs all of it; each check needs a backend of its own, which nobody has used.
void check_conformance(const std::function<Subject()>& make);

}  // namespace moe::test
