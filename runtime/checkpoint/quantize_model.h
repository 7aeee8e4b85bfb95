// SPDX-License-Identifier: Apache-2.0
// Writes a quantized copy of a Hugging Face model folder.
//
// A module is quantized when its weight is a matrix `P.weight` of F32, F16 or BF16, which is what quanto calls a
// Linear. Embeddings stay, and so do routers (`gate`, `router`, `shared_expert_gate`): they are small, and which
// experts a token takes depends on them. Experts that are fused in one tensor of three dimensions stay too, as with
// quanto.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/precision/codec.h"

namespace moe::checkpoint {

inline constexpr uint32_t kDefaultGroup = UINT32_MAX;  ///< quanto's rule for each module

struct QuantizeOptions {
  precision::Format format = precision::Format::qint4;
  /// Of qint4 and qint2: this length where it divides a module's rows, else the whole row; 0: whole rows.
  uint32_t group = kDefaultGroup;
  bool hqq = false;                   ///< of qint4 and qint2
  bool experts_only = false;          ///< nothing but modules named `...experts.N...`
  std::vector<std::string> excluded;  ///< patterns of module names, as a shell's, that stay
  /// Called now and then with bytes done and bytes in all. May be empty.
  std::function<void(uint64_t, uint64_t)> progress;
};

struct QuantizeReport {
  uint64_t num_modules = 0;      ///< quantized
  uint64_t num_kept = 0;         ///< other tensors
  uint64_t num_not_fitting = 0;  ///< modules that hadamard4 cannot rotate, so that they stay
  uint64_t num_zero_rows = 0;    ///< rows or groups whose scale is 0
  uint64_t bytes_before = 0;     ///< of tensors
  uint64_t bytes_after = 0;
  double relative_rms = 0;  ///< sqrt(sum (w - back)^2 / sum w^2) over the weights of all modules that were quantized
  std::string map_file;     ///< quanto_qmap.json, or moe_qmap.json for what quanto cannot read
};

/// Quantizes the model in `dir` into the new folder `out`. Beside the weights it copies the small files that a model is
/// loaded with (*.json, *.txt, *.model, *.jinja, *.md, LICENSE*). Shards stay shards. The folder appears as a whole or
/// not at all: it is written under another name beside it. Needs memory for one tensor. Errors: io; format: a damaged
/// model, weights that are not finite, a model that is quantized already or has nothing to quantize; invalid: `out` is
/// there and not empty.
Result<QuantizeReport> quantize_model(const std::string& dir, const std::string& out, const QuantizeOptions& options);

}  // namespace moe::checkpoint
