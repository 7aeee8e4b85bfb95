// SPDX-License-Identifier: Apache-2.0
// Seeded mutations of policies, for tests that only ask whether anything falls over.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace moe::test {

/// A text made of `corpus` by up to eight edits: bytes, pieces of other texts, and words of the language are put in,
/// taken out or doubled, or the text is cut. The same seed gives the same text on every machine.
std::string mutate(const std::vector<std::string>& corpus, uint64_t seed);

/// Runs everything the front end does on the text, the printers on its results and the formatter. Returns how many
/// findings there were. Exits the program with a message when an invariant breaks: spans outside of the text, an error
/// without a finding, a text that is not the same when it is formatted again.
size_t exercise(const std::string& text);

}  // namespace moe::test
