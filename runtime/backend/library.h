// SPDX-License-Identifier: Apache-2.0
// Backends in a library of their own, opened when a runtime asks for one: so that one engine binary serves machines
// with and without what the library needs.
#pragma once
#include <string>

#include "runtime/backend/backend.h"
#include "runtime/backend/library_abi.h"

namespace moe::backend {

/// Opens a backend library; what was opened stays until the process ends.
///   path  "": `file_name` beside the library (or program) that this code is in, else where the dynamic loader looks
/// Errors: unsupported: not found, cannot be loaded, no backend library, or of another version. Any thread.
Result<const moe_backend_library*> open_library(const std::string& file_name, const std::string& path);

/// Whether the library can use this device. Errors: device, saying why not.
Result<void> probe(const moe_backend_library& library, uint32_t device);

/// A backend of a library. Nothing is asked of the library before `allocate`.
std::unique_ptr<Backend> create(const moe_backend_library& library, const moe_backend_settings& settings);

}  // namespace moe::backend
