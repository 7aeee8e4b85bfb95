// SPDX-License-Identifier: Apache-2.0
// The language's word for every enumerator: tables in the order of the enumerations.
#include <array>

#include "ir/bind.h"
#include "ir/decision.h"
#include "ir/policy.h"

namespace moe::ir {
namespace {

using namespace std::string_view_literals;

// A table with a word too few or too many does not compile: `last` is the enumeration's last value.
template <auto last, class... Words>
constexpr auto table(Words... words) {
  static_assert(sizeof...(words) == static_cast<size_t>(last) + 1);
  return std::array{std::string_view(words)...};
}

// A value that is no enumerator, as broken IR may hold, has no word.
template <class Table, class E>
std::string_view word_of(const Table& words, E value) {
  const auto i = static_cast<size_t>(value);
  return i < words.size() ? words[i] : "?"sv;
}

constexpr auto kEvictions =
    table<Eviction::segmented>("lru", "lfu", "score", "freq_threshold", "fifo", "sieve", "s3_fifo", "arc", "lirs",
                               "w_tinylfu", "random", "belady", "least", "segmented");
constexpr auto kScopes = table<Scope::layer>("global", "layer");
constexpr auto kAdmits = table<Admit::when>("always", "never", "when");
constexpr auto kStrategies = table<Strategy::most>("none", "history", "lookahead", "gate", "affinity", "sequence",
                                                   "learned", "trajectory", "most");
constexpr auto kModes = table<ScheduleMode::balance>("gpu_only", "cpu_fallback", "hybrid", "balance");
constexpr auto kMisses = table<MissAction::skip>("load", "cpu", "cpu_load", "degrade", "shared", "skip");
constexpr auto kAllocations = table<Allocation::utility>("entropy", "uniform", "utility");
constexpr auto kLocations = table<Location::disk>("gpu", "host", "disk");
constexpr auto kDtypes = table<Dtype::int2>("as_stored", "f32", "bf16", "f16", "f8_e4m3", "int8", "int4", "int2");
constexpr auto kExactnesses = table<Exactness::approximate>("exact", "exact_on_host", "approximate");
constexpr auto kUnits = table<AdaptRule::Unit::tokens>("accesses", "dispatches", "tokens");
constexpr auto kPhases = table<Phase::decode>("prefill", "decode");
constexpr auto kActions = table<Action::skip>("hit", "load", "stream", "cpu", "cpu_load", "degrade", "shared", "skip");

}  // namespace

std::string_view to_word(Eviction value) { return word_of(kEvictions, value); }
std::string_view to_word(Scope value) { return word_of(kScopes, value); }
std::string_view to_word(Admit value) { return word_of(kAdmits, value); }
std::string_view to_word(Strategy value) { return word_of(kStrategies, value); }
std::string_view to_word(ScheduleMode value) { return word_of(kModes, value); }
std::string_view to_word(MissAction value) { return word_of(kMisses, value); }
std::string_view to_word(Allocation value) { return word_of(kAllocations, value); }
std::string_view to_word(Location value) { return word_of(kLocations, value); }
std::string_view to_word(Dtype value) { return word_of(kDtypes, value); }
std::string_view to_word(Exactness value) { return word_of(kExactnesses, value); }
std::string_view to_word(AdaptRule::Unit value) { return word_of(kUnits, value); }
std::string_view to_word(Phase value) { return word_of(kPhases, value); }
std::string_view to_word(Action value) { return word_of(kActions, value); }

}  // namespace moe::ir
