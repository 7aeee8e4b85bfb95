// SPDX-License-Identifier: Apache-2.0
// Several threads parse at once while the tables of the grammar are still empty. A program of its own: any other test
// would have filled them.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <barrier>
#include <string>
#include <thread>
#include <vector>

#include "frontend/frontend.h"
#include "tests/frontend/support.h"

namespace {

std::string outcome_of(const std::string& text) {
  const moe::ir::SourceFile source("x.moe", text);
  moe::ir::Diagnostics diagnostics;
  const auto parsed = moe::frontend::parse(source, diagnostics);
  const std::string tree = parsed.file ? moe::frontend::ast::print_json(*parsed.file) : std::string();
  return tree + moe::ir::render_text(source, diagnostics, false);
}

}  // namespace

TEST_CASE("the first parses of a process, from several threads") {
  const std::vector<std::string> texts = moe::test::golden_texts();
  constexpr size_t kNumThreads = 4;
  std::vector<std::vector<std::string>> outcomes(kNumThreads, std::vector<std::string>(texts.size()));
  std::barrier all_ready(kNumThreads);
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < kNumThreads; ++thread) {
    threads.emplace_back([&, thread] {
      all_ready.arrive_and_wait();
      // Two of them read the same texts at the same time, the other two begin elsewhere.
      const size_t first = thread / 2 * (texts.size() / 2);
      for (size_t i = 0; i < texts.size(); ++i) {
        const size_t text = (first + i) % texts.size();
        outcomes[thread][text] = outcome_of(texts[text]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t text = 0; text < texts.size(); ++text) {
    const std::string alone = outcome_of(texts[text]);
    for (size_t thread = 0; thread < kNumThreads; ++thread) CHECK(outcomes[thread][text] == alone);
  }
}
