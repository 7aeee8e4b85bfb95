// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "runtime/pack/pack.h"
#include "runtime/store/store_index.h"

namespace moe::pack {

/// The index of the store to be, all checksums of what is not written yet 0 and `tensors` without a size. Extents
/// follow each other without holes, precision by precision, in the order of the options.
///   marks  of the source's files
store::StoreIndex plan_of(const Source& source, const std::vector<store::FileMark>& marks, const PackOptions& options);

/// The index with those figures taken out again: equal to the plan it came from.
store::StoreIndex without_results(store::StoreIndex index);

}  // namespace moe::pack
