// SPDX-License-Identifier: Apache-2.0
// Canonical text reads back as the same IR: seeded random policies through print_text and the frontend.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include "frontend/frontend.h"
#include "tests/ir/random_ir.h"

namespace moe::ir::test {
namespace {

std::string errors_of(const SourceFile& source, const Diagnostics& diagnostics) {
  Diagnostics errors;
  for (const Diagnostic& diagnostic : diagnostics.items()) {
    if (diagnostic.severity == Severity::error) errors.error(diagnostic.code, diagnostic.span, diagnostic.message);
  }
  return render_text(source, errors, false);
}

TEST_CASE("what is printed reads back as the same IR") {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    const Policy policy = RandomIr(seed).policy();
    for (const std::string& sentence : verify(policy)) FAIL_CHECK(sentence);
    const std::string text = print_text(policy);
    const SourceFile source("round_trip.moe", text);
    Diagnostics diagnostics;
    const std::optional<Module> module = frontend::compile_to_ir(source, {}, diagnostics);
    REQUIRE_MESSAGE(module, errors_of(source, diagnostics));
    REQUIRE(module->policies.size() == 1 + policy.alternatives.size());
    CHECK(print_text(module->policies[0]) == text);
    CHECK(print_json(module->policies[0]) == print_json(policy));
    CHECK(module->policies[0] == policy);
  }
}

}  // namespace
}  // namespace moe::ir::test
