// SPDX-License-Identifier: Apache-2.0
// The parts of an explanation, and the phrases that they are made of. Internal to ir/explain.cpp.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "ir/explain.h"
#include "ir/keys.h"

namespace moe::ir::plain {

using Sentences = std::vector<std::string>;

// ---- phrases (explain_words.cpp): no capital, no period
/// "1 expert", "1,728 experts"
std::string count(uint64_t number, std::string_view noun);
std::string share(double ratio);          ///< "29 %"
std::string time(double ms);              ///< "20 ms"
std::string size(double bytes);           ///< "17.3 MB", of powers of 1000
std::string code(std::string_view text);  ///< in backticks, cut where nobody would read on
std::string code(const Expr& expr);
/// "a", "a and b", "a, b and c"
std::string list(const std::vector<std::string>& items, std::string_view last = "and");
/// With a capital and a period.
std::string sentence(std::string clause);

/// "8 experts", "50 % of the layer's experts"
std::string held(const Capacity& capacity, Scope scope);
/// "the least recently used expert leaves (`lru`)"
std::string leaver(const CacheRule& cache);
std::string leaver(const EvictionRule& rule, const CacheRule& cache);
/// "experts 0 to 3 of every layer and ..."
std::string experts(const std::vector<Sourced<Pin>>& pins);
/// "the expert is loaded and waited for"
std::string action(MissAction action);
/// What happens to one miss, in one clause.
std::string miss(const ScheduleRule& schedule);
std::string arrives(uint32_t dispatches);
/// "the experts of a dispatch are handled by rising `...`"
std::string handled(const Expr& order);
/// "what the engine's router guesses for the next layer; ..."
std::string guesses(const PrefetchRule& prefetch);
/// "up to 4 experts a dispatch are fetched early: ..."
std::string fetched(const PrefetchRule& prefetch);

/// What is so where `key` has the value that it has in `rules`: "the cache holds 8 experts".
std::string clause(Key key, const Rules& rules, Scope scope);

// ---- parts; an empty list where there is nothing to say
Sentences stays(const Policy& policy);
Sentences on_hit(const Policy& policy);
Sentences on_miss(const Policy& policy);
Sentences early(const Policy& policy);
Sentences phases(const Policy& policy);
Sentences bands(const Policy& policy);
Sentences adapts(const Policy& policy);
Sentences learns(const Policy& policy);
Sentences tiers(const TiersRule& tiers);
Sentences memory(const Policy& policy);
Sentences measured(const Policy& policy);
Sentences settable(const Policy& policy);
Sentences exact(const Policy& policy, Exactness exactness);
Sentences timing(const Policy& policy);
Sentences on_model(const BoundPolicy& policy);

}  // namespace moe::ir::plain
