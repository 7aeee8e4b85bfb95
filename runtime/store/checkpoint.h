// SPDX-License-Identifier: Apache-2.0
// A folder of weights as somebody else wrote it: a Hugging Face model, or a Chronos cache.
#pragma once
#include <string>

#include "runtime/base/result.h"
#include "runtime/store/layout.h"
#include "runtime/store/model_files.h"

namespace moe::store {

struct Checkpoint {
  ModelFiles model;
  Experts experts;  ///< points into model.tensors
  Naming naming = Naming::hugging_face;
};

/// Opens whichever of the two the folder is; a model when it is both. Errors: io, format, unsupported.
Result<Checkpoint> open_checkpoint(const std::string& dir);

}  // namespace moe::store
