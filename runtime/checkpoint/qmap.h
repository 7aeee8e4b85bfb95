// SPDX-License-Identifier: Apache-2.0
// Which modules of a checkpoint are quantized, and how: the JSON file beside its weights.
//
//   {"MODULE": {"weights": "qint4", "activations": "none"}, ...}
//
// quanto_qmap.json is what optimum-quanto's from_pretrained reads. moe_qmap.json has the same contents for what quanto
// cannot read: its own formats, and groups of another length than quanto takes for the module.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "runtime/base/result.h"
#include "runtime/precision/format.h"

namespace moe::checkpoint {

inline constexpr const char* kQuantoMap = "quanto_qmap.json";
inline constexpr const char* kOwnMap = "moe_qmap.json";

/// Module name -> format of its weights, ascending.
using QuantizationMap = std::map<std::string, precision::Format>;

/// The file's text, byte for byte as quanto writes it for the modules in this order.
std::string to_json(const QuantizationMap& map);

/// `file` is for messages. Modules whose weights are "none" are left out. Errors: format: no JSON, no such format,
/// quantized activations, which change nothing of how weights are kept but belong to an engine that has them.
Result<QuantizationMap> parse_map(std::string_view text, const std::string& file);

/// The map of a model's folder; nullopt when it has none. Errors: io; format, also when it has both.
Result<std::optional<QuantizationMap>> read_map(const std::string& dir);

}  // namespace moe::checkpoint
