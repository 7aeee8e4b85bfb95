// SPDX-License-Identifier: Apache-2.0
// Writing a store (runtime/store/store_index.h) from a checkpoint, and a checkpoint from a store.
//
// Writing goes on in STORE.partial, beside STORE, and ends with one rename. In there `.plan.json` says what is being
// written, everything but the checksums, and `.journal` which extents are complete, with theirs. Killed at any moment,
// the machine's power included, a run leaves STORE as it was, and a partial that the next run of the same plan goes on
// from: an extent counts as complete when its bytes have the journal's checksum. A partial of another plan is begun
// anew.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/pack/encoder.h"
#include "runtime/pack/source.h"

namespace moe::pack {

/// Called now and then from the working thread.
using Progress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

struct PackOptions {
  std::vector<uint32_t> order;                    ///< every layer * num_experts + expert once; empty: ascending
  std::string order_note = R"({"method":"id"})";  ///< a JSON object, for the index's `order`
  std::vector<const Encoder*> encoders;           ///< further precisions; borrowed
  uint64_t most_file_bytes = uint64_t{64} << 30;  ///< a data file ends before it gets longer, unless one extent is
  Progress progress;                              ///< may be empty
};

struct PackReport {
  uint64_t num_extents = 0;
  uint64_t kept = 0;       ///< extents that an earlier run had written
  uint64_t bytes = 0;      ///< of all data files
  bool was_there = false;  ///< STORE was this very store, and is undamaged: nothing was written
};

/// Writes the store `dir`. Another store of that name is replaced, in one step, when the new one is complete.
/// Errors: io (unreadable input, full disk, ...); invalid: `dir` is something else than a store, or another process
/// writes it; unsupported: the file system cannot replace a folder in one step.
Result<PackReport> pack(const Source& source, const std::string& dir, const PackOptions& options);

struct UnpackOptions {
  uint64_t shard_bytes = 5'000'000'000;  ///< a larger model becomes shards with an index
  Progress progress;
};

/// Writes the model of a store, at native precision, and its side files: the tensors and files that pack() was given.
/// `dir` must not exist, or be empty; it appears when it is complete. Errors: io, format; invalid: `dir` is there.
Result<void> unpack(const std::string& store_dir, const std::string& dir, const UnpackOptions& options);

}  // namespace moe::pack
