// SPDX-License-Identifier: Apache-2.0
// Where a model's shape comes from: written out, or a Hugging Face config.json.
#pragma once
#include <string>
#include <string_view>

#include "ir/bind.h"
#include "runtime/base/result.h"

namespace moe::ir {

/// Why `shape` cannot be bound, one sentence; empty when it can. Limits: 1..4096 layers, 1..65534 experts, top_k of
/// 1..experts, experts of at most 2^40 bytes (0: unknown).
std::string shape_problem(const ModelShape& shape);

/// `LxExK` or `LxExK:BYTES`: layers, experts per layer, experts per token, bytes of one expert. E.g.
/// `27x64x6:17301504`.
Result<ModelShape> parse_shape(std::string_view text);

/// The shape in that form.
std::string print_shape(const ModelShape& shape);

/// From the text of a Hugging Face config.json. The experts' size is that of three matrices (gate, up, down) in the
/// config's dtype; unknown (0) when the dtype is not given or the weights are quantized.
Result<ModelShape> shape_from_config(std::string_view json);

/// What `--model` takes: a shape in text, the path of a config.json, or a directory that holds one.
Result<ModelShape> load_shape(const std::string& model);

}  // namespace moe::ir
