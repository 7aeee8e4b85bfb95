// SPDX-License-Identifier: Apache-2.0
// The policies that bench-dispatch times, bound to a shape.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/bind.h"
#include "runtime/base/result.h"

namespace moe::bench {

/// The sixteen of MoE-PolicyLang 1.4.2's benchmark, and `composed`: bench/policies/NAME.moe.
std::span<const std::string_view> policy_names();

/// A file's text. Error: io.
Result<std::string> read_text(const std::string& path);
std::string path_of_policy(std::string_view name);

/// The file's only policy. `layer_blind`: it is of 1.4.2, whose slots stand for an expert id of every layer. Here an
/// expert is the pair of layer and id, so each layer gets those slots, and memory as many times the bytes.
/// `settings`: "NAME=VALUE" for its params. Errors: io, invalid.
Result<ir::BoundPolicy> bind_file(const std::string& path, const ir::ModelShape& shape, bool layer_blind,
                                  const std::vector<std::string>& settings = {});

/// Half of the experts resident under `rule`, every default of the language.
ir::BoundPolicy bind_rule(ir::Eviction rule, const ir::ModelShape& shape);

/// The standard library's files, by name. Empty where it is not found.
std::vector<std::string> standard_library();

}  // namespace moe::bench
