// SPDX-License-Identifier: Apache-2.0
// JSON from files that nobody vouches for: no exceptions, no duplicate keys, bounded size.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace moe::store {

/// Parses one JSON object. `where` begins the message: a file name, perhaps with "header".
/// Errors: format, with the byte at which it stops being JSON, or the key that is there twice.
Result<nlohmann::json> parse_object(std::string_view text, const std::string& where);

}  // namespace moe::store
