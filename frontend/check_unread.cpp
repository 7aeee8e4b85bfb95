// SPDX-License-Identifier: Apache-2.0
// Keys that were set and that nothing reads: legal, and most likely not what the author meant.
#include <fmt/format.h>

#include "frontend/in_force.h"
#include "frontend/limits.h"
#include "frontend/lower.h"
#include "frontend/lower_keys.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

class UnreadKeys {
 public:
  UnreadKeys(const InForce& in_force, const ir::Policy& policy, ir::Diagnostics& diagnostics)
      : in_force_(in_force), policy_(policy), diagnostics_(diagnostics) {}

  // A key that repeats its default changes nothing either way, and printed policies have every key.
  void check(std::string_view block, const BlockValues& values) {
    for (const BlockValues::Value& value : values.all()) {
      const std::optional<ir::Key> key = ir::find_key(block, value.key->name);
      const std::optional<ir::KeyValue> written = to_key_value(*value.key, value.value);
      if (!key || !written || *written == ir::get(defaults_, *key)) continue;
      report(*key, value.key_span);
    }
  }

  void check(const std::vector<ir::Assignment>& overrides) {
    for (const ir::Assignment& assignment : overrides) {
      if (!assignment.span.is_default()) report(assignment.key, assignment.span);  // else implied by another
    }
  }

 private:
  void report(ir::Key key, ir::SourceSpan span) {
    if (too_many(diagnostics_)) return;
    const std::string_view reader = missing_reader(key, in_force_, policy_);
    if (reader.empty()) return;
    const std::string name = quote(ir::info_of(key).name);
    if (key == ir::Key::mode) {
      diagnostics_.warning("MOE2022", span, fmt::format("nothing reads {}: `on miss` replaces it", name), "remove it");
    } else if (key == ir::Key::approximate) {
      diagnostics_.warning("MOE2022", span, fmt::format("nothing needs {}: no action changes the output", name),
                           "remove it");
    } else {
      diagnostics_.warning("MOE2022", span, fmt::format("nothing reads {}: it belongs to {}", name, quote(reader)),
                           fmt::format("remove it, or write {}", quote(reader)));
    }
  }

  const InForce& in_force_;
  const ir::Policy& policy_;
  ir::Diagnostics& diagnostics_;
  const ir::Rules defaults_;
};

// Written, but wrong: who knows what it would have read.
bool is_lost(const BlockValues& values, std::string_view key) {
  const BlockValues::Value* value = values.find(key);
  return value != nullptr && std::holds_alternative<std::monostate>(value->value);
}

}  // namespace

void check_unread_keys(const PolicyValues& values, const ir::Policy& policy, ir::Diagnostics& diagnostics) {
  if (is_lost(values.cache, "eviction") || is_lost(values.prefetch, "strategy") || is_lost(values.schedule, "mode")) {
    return;
  }
  const InForce in_force = find_in_force(policy);
  UnreadKeys unread(in_force, policy, diagnostics);
  unread.check("cache", values.cache);
  unread.check("prefetch", values.prefetch);
  unread.check("schedule", values.schedule);
  for (const ir::Band& band : policy.bands) unread.check(band.overrides);
  for (const ir::PhaseRule& phase : policy.phases) unread.check(phase.overrides);
}

}  // namespace moe::frontend
