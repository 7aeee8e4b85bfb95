// SPDX-License-Identifier: Apache-2.0
// The keys of cache, prefetch and schedule as data: what printers, overrides and comparisons go through.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "ir/policy.h"

namespace moe::ir {

struct KeyInfo {
  Key key = Key::capacity;
  std::string_view block;
  std::string_view name;
  Type type = Type::number;  ///< of numbers: how they are written
};

/// In the order of Key.
const KeyInfo& info_of(Key key);
/// The key of a block; nullopt: no such key, or one that cannot be overridden (scope, pin, preload).
std::optional<Key> find_key(std::string_view block, std::string_view name);

/// The key's value in force. monostate: not set.
KeyValue get(const Rules& rules, Key key);
/// Replaces the key's value; the span goes with it. False, and nothing changed, when the value is none of this key.
bool assign(Rules& rules, const Assignment& assignment);

/// The value as it is written after `=` (of `on_miss`: the arms between braces, one line).
std::string print_value(Key key, const KeyValue& value);

}  // namespace moe::ir
