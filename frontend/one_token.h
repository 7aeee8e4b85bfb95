// SPDX-License-Identifier: Apache-2.0
// Which decisions of the grammar the next token makes alone.
#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "frontend/grammar_tables.h"

namespace moe::frontend {

/// By token: the alternative, from 1; 0: none begins like this.
using AlternativeOfToken = std::array<uint8_t, kNumTokenKinds>;

/// nullopt where a token may begin two alternatives: they have to be predicted. Where ANTLR's generator finds that one
/// token is enough, the code that it writes does not predict, and that shows in errors: what may be left out is left
/// out when something strange follows, and the error is found by what has to come next.
std::optional<AlternativeOfToken> alternatives_by_one_token(const ParserTable& table, size_t decision);

}  // namespace moe::frontend
