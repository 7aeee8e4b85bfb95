// SPDX-License-Identifier: Apache-2.0
// Why the reference interpreter decided as it did: who could have left, with which values, and which step it was. All
// worked by hand from docs/semantics.md.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "frontend/frontend.h"
#include "ir/explain_decision.h"
#include "ir/interpreter.h"

namespace {

using namespace moe::ir;

BoundPolicy bound(const std::string& text, ModelShape shape) {
  Diagnostics diagnostics;
  const SourceFile source("test.moe", text);
  moe::frontend::LowerOptions lower;
  lower.replay = true;
  const auto module = moe::frontend::compile_to_ir(source, lower, diagnostics);
  std::optional<BoundPolicy> policy;
  if (module) policy = bind(module->policies.front(), shape, {}, diagnostics);
  const std::string findings = render_text(source, diagnostics, false);
  INFO(findings);
  REQUIRE(policy.has_value());
  return *policy;
}

/// Runs a policy, and gives an account of the last dispatch.
class Run {
 public:
  explicit Run(const std::string& text, ModelShape shape = {1, 8, 1, 0})
      : policy_(bound(text, shape)), interpreter_(policy_), unasked_(policy_) {}

  void step(std::vector<int32_t> ids, uint32_t layer = 0, std::vector<float> weights = {}) {
    DispatchInput input;
    input.layer = layer;
    input.ids = ids;
    input.weights = weights;
    run(input);
  }
  void run(DispatchInput input) {
    input.top_k = static_cast<uint32_t>(input.ids.size());
    input.num_tokens = 1;
    explained_ = {};
    explained_.dispatch = num_++;
    explained_.num_tokens = 1;
    interpreter_.set_account(&explained_.account);
    const std::optional<Decision> decision = interpreter_.dispatch(input);
    REQUIRE(decision);
    CHECK(decision == unasked_.dispatch(input));  // asking changes nothing
    explained_.decision = *decision;
  }
  void hint(uint32_t layer, std::vector<uint32_t> ids, std::vector<float> probabilities) {
    REQUIRE(interpreter_.hint(layer, ids, probabilities));
    REQUIRE(unasked_.hint(layer, ids, probabilities));
  }

  /// "demand 0:1 for 0:3: 0:1=1 0:2=4; spared 0:7 pinned"
  std::string left() const {
    std::string text;
    for (const Departure& departure : account().departures) {
      text += (text.empty() ? "" : " | ") + fmt::format("{} {}", to_word(departure.cause), name(departure.key));
      if (departure.newcomer) text += " for " + name(*departure.newcomer);
      if (departure.value != 0) text += fmt::format(" at {}", departure.value);
      if (departure.choice) text += ":" + choice(account().choices[*departure.choice]);
    }
    return text;
  }
  std::string choice(const Choice& choice) const {
    constexpr const char* kSpared[] = {"pinned", "on its way", "selected", "as probable"};
    std::string text;
    for (const Contender& contender : choice.candidates) {
      text += " " + name(contender.key) +
              (contender.part.empty() ? fmt::format("={}", contender.value)
                                      : "=" + contender.part + (contender.note.empty() ? "" : "/" + contender.note));
    }
    for (const auto& [key, why] : choice.spared) {
      text += fmt::format("; spared {} {}", name(key), kSpared[static_cast<size_t>(why)]);
    }
    return text;
  }
  std::string name(uint32_t key) const {
    return fmt::format("{}:{}", key / policy_.shape.num_experts, key % policy_.shape.num_experts);
  }
  const DecisionAccount& account() const { return explained_.account; }
  std::string text(const DecisionFilter& filter = {}) const { return print_text(explained_, policy_, filter); }

 private:
  const BoundPolicy policy_;
  Interpreter interpreter_, unasked_;
  uint64_t num_ = 0;
  ExplainedDecision explained_;
};

TEST_CASE("lru: last uses, and who was spared") {
  Run run("policy p { cache { capacity = 3  eviction = lru  pin = [7] } }", {1, 8, 2, 0});
  run.step({1, 2});  // accesses 1 and 2
  CHECK(run.account().capacity == 3);
  CHECK(run.account().resident == std::vector<uint32_t>{7});
  CHECK(run.left().empty());
  run.step({2, 3});  // 2 is hit by access 3, 3 is missed by access 4
  CHECK(run.account().resident == std::vector<uint32_t>{1, 2, 7});
  CHECK(run.left() == "demand 0:1 for 0:3: 0:1=1; spared 0:2 selected; spared 0:7 pinned");
  CHECK(run.account().choices.front().accesses == 4);
  CHECK(run.text() ==
        "Dispatch 1: layer 0, decode, 1 token\n"
        "In force: policy `p`.\n"
        "The cache held 3 experts in 3 slots before it.\n"
        "\n"
        "Experts\n"
        "  [0,2] hit: it was resident.\n"
        "  [0,3] load: it was not resident; the expert is loaded, and the dispatch waits for it; it takes the place of "
        "[0,1].\n"
        "\n"
        "Left\n"
        "  [0,1] left: to make place for [0,3], a miss: the least recently used expert leaves (`lru`).\n"
        "    Could leave, in order:\n"
        "      [0,1] last used 3 accesses ago  <- leaves\n"
        "    Spared: [0,2] needed by this dispatch; [0,7] pinned.\n");
}

TEST_CASE("lfu: counts") {
  Run run("policy p { cache { capacity = 2  eviction = lfu } }");
  for (const int32_t expert : {0, 0, 1}) run.step({expert});
  run.step({2});
  CHECK(run.left() == "demand 0:1 for 0:2: 0:1=1 0:0=2");
}

TEST_CASE("score: averages of weights") {
  Run run("policy p { cache { capacity = 2  eviction = score  score_ema_alpha = 50% } }");
  run.step({0}, 0, {0.25f});
  run.step({1}, 0, {0.5f});
  run.step({0}, 0, {1.0f});  // 0.625
  run.step({2}, 0, {0.125f});
  CHECK(run.left() == "demand 0:1 for 0:2: 0:1=0.5 0:0=0.625");
}

TEST_CASE("least(E): the value and its terms") {
  Run run("policy p { cache { capacity = 2  eviction = least(10 * freq + age) } }");
  for (const int32_t expert : {0, 0, 1}) run.step({expert});
  run.step({2});  // access 4: 0 was loaded by access 1 and used twice, 1 by access 3
  CHECK(run.left() == "demand 0:1 for 0:2: 0:1=11 0:0=23");
  const std::vector<Term>& terms = run.account().choices.front().candidates.front().terms;
  REQUIRE(terms.size() == 2);
  CHECK(terms[0].text == "10 * freq");
  CHECK(terms[0].value == 10);
  CHECK(terms[1].text == "age");
  CHECK(terms[1].value == 1);
  CHECK(run.text().find("[0,0] 23 (`10 * freq` = 20, `age` = 3)\n") != std::string::npos);
}

TEST_CASE("least(E): what is subtracted is a term too, and one term shows what it reads") {
  Run run("policy p { cache { capacity = 1  eviction = least(freq - 2 * recency) } }");
  run.step({0});
  run.step({1});
  CHECK(run.left() == "demand 0:0 for 0:1: 0:0=-1");  // freq 1, recency 2 - 1
  const std::vector<Term>& terms = run.account().choices.front().candidates.front().terms;
  REQUIRE(terms.size() == 2);
  CHECK(terms[1].value == -2);
  Run product("policy p { cache { capacity = 1  eviction = least(freq * recency) } }");
  product.step({0});
  product.step({1});
  const std::vector<Term>& read = product.account().choices.front().candidates.front().terms;
  REQUIRE(read.size() == 2);
  CHECK(read[0].text == "freq");
  CHECK(read[1].text == "recency");
}

TEST_CASE("ttl: by the accesses since the last use") {
  Run run("policy p { cache { capacity = 4  eviction = lru  ttl = 3 } }");
  for (const int32_t expert : {0, 1, 1}) run.step({expert});
  CHECK(run.left().empty());
  run.step({1});  // access 4; 0 was last used by access 1
  CHECK(run.left() == "ttl 0:0 at 3");
  CHECK(run.text().find("[0,0] left: it was not used for 3 accesses of its cache, `ttl` is 3.\n") != std::string::npos);
}

TEST_CASE("memory pressure: at the threshold, down to the headroom, who is selected last") {
  Run run(
      "policy p { cache { capacity = 4  eviction = lru  memory_threshold = 75%  memory_headroom = 50%  "
      "memory_budget_gb = 4  expert_size_gb = 1 } }");
  run.step({0});
  run.step({1});
  CHECK(run.left().empty());
  run.step({2});
  CHECK(run.left() == "pressure 0:0 at 0.75: 0:0=1 0:1=2; spared 0:2 selected");
}

TEST_CASE("freq_threshold: shares of those below and of a newcomer") {
  Run run("policy p { cache { capacity = 4  eviction = freq_threshold  freq_window = 4  freq_threshold = 30% } }");
  for (const int32_t expert : {0, 1, 1}) run.step({expert});
  CHECK(run.left().empty());  // 1 of 3
  run.step({1});
  CHECK(run.left() == "threshold 0:0 at 0.25");
  run.step({2});  // 1 of the last 4
  REQUIRE(run.account().accesses.size() == 1);
  CHECK(run.account().accesses[0].refusal == Refusal::below_threshold);
  CHECK(run.account().accesses[0].value == 0.25);
  CHECK(run.text().find("it gets no slot: its share of the last accesses is 25 %, below the threshold of 30 %.\n") !=
        std::string::npos);
}

TEST_CASE("queues: their members before the rule looked") {
  Run sieve("policy p { cache { capacity = 2  eviction = sieve } }");
  for (const int32_t expert : {0, 1, 0}) sieve.step({expert});
  sieve.step({2});  // the hand clears 0's bit and takes 1
  CHECK(sieve.left() == "demand 0:1 for 0:2: 0:0=queue/visited 0:1=queue");
  Run arc("policy p { cache { capacity = 2  eviction = arc } }");
  for (const int32_t expert : {0, 1, 0}) arc.step({expert});
  arc.step({2});  // T1 = [1], T2 = [0], p = 0
  CHECK(arc.left() == "demand 0:1 for 0:2: 0:1=T1 0:0=T2");
  CHECK(arc.account().choices.front().standing == "T1 has 1, its target p is 0");
  // Of 10 places the small queue has 1 and gives first: 0 was hit twice and moves on, 1 was not.
  Run fifo("policy p { cache { capacity = 10  eviction = s3_fifo } }", {1, 16, 1, 0});
  for (int32_t expert = 0; expert < 10; ++expert) fifo.step({expert});
  fifo.step({0});
  fifo.step({0});
  fifo.step({10});
  CHECK(fifo.left().starts_with("demand 0:1 for 0:10: 0:0=small/hits 2 0:1=small/hits 0 0:2=small/hits 0"));
}

TEST_CASE("a prefetch that evicts: the predictor, its confidence, whom it replaced") {
  Run run("policy p { cache { capacity = 2  eviction = lru }  prefetch { strategy = gate  budget = 1 } }",
          {2, 8, 1, 0});
  run.step({0}, 0);
  run.step({1}, 1);
  run.hint(1, {5, 6}, {0.5f, 0.25f});
  run.step({0}, 0);  // accesses: 0:0 by 1 and 3, 1:1 by 2
  CHECK(run.left() == "prefetch 1:1 for 1:5: 1:1=2; spared 0:0 selected");
  CHECK(run.account().predictor == Strategy::gate);
  REQUIRE(run.account().prefetches.size() == 2);
  CHECK(run.name(run.account().prefetches[0].key) == "1:5");
  CHECK(run.account().prefetches[0].predicted == 0.5);
  CHECK(run.account().prefetches[0].replaced == 9);  // 1:1
  CHECK_FALSE(run.account().prefetches[0].refusal.has_value());
  CHECK(run.name(run.account().prefetches[1].key) == "1:6");
  CHECK(run.account().prefetches[1].refusal == Refusal::over_budget);
}

TEST_CASE("admission: what the condition read, and whom it was about") {
  Run run("policy p { cache { capacity = 1  eviction = lru  admit = when(weight > victim(score)) } }");
  run.step({0}, 0, {0.5f});
  run.step({1}, 0, {0.25f});
  CHECK(run.left().empty());
  const AccessAccount& access = run.account().accesses.front();
  CHECK(access.refusal == Refusal::not_admitted);
  REQUIRE(access.terms.size() == 2);
  CHECK(access.terms[0].value == 0.25);
  CHECK(access.terms[1].value == 0.5);
  REQUIRE(access.choice);
  CHECK(run.choice(run.account().choices[*access.choice]) == " 0:0=1");
}

TEST_CASE("nobody may leave") {
  Run run("policy p { cache { capacity = 2  eviction = lru } }", {1, 8, 3, 0});
  run.step({0, 1, 2});
  const std::vector<AccessAccount>& accesses = run.account().accesses;
  REQUIRE(accesses.size() == 3);
  CHECK(accesses[2].refusal == Refusal::no_place);
  CHECK(run.choice(run.account().choices.back()) == "; spared 0:0 selected; spared 0:1 selected");
}

TEST_CASE("what the mechanism dropped, and slots that a phase takes away") {
  Run run("policy p { cache { capacity = 3  eviction = lru }  phase prefill { cache { capacity = 1 } } }",
          {2, 8, 1, 0});
  for (const int32_t expert : {0, 1, 2}) run.step({expert});
  const std::vector<int32_t> ids = {2};
  const std::vector<uint32_t> dropped = {1};
  DispatchInput input;
  input.ids = ids;
  input.dropped = dropped;
  run.run(input);
  CHECK(run.left() == "dropped 0:1");
  input.dropped = {};
  input.phase = Phase::prefill;
  run.run(input);  // last uses: 0 by access 1, 2 by access 4
  CHECK(run.left() == "rules 0:0: 0:0=1 0:2=4");
  CHECK(run.account().phase == Phase::prefill);
  CHECK(run.account().capacity == 1);
}

TEST_CASE("one expert's part of it") {
  Run run("policy p { cache { capacity = 1  eviction = lru } }");
  run.step({0});
  run.step({1});
  DecisionFilter filter;
  filter.key = 0;
  CHECK(run.text(filter).find("[0,1] load") == std::string::npos);
  CHECK(run.text(filter).find("[0,0] left: to make place for [0,1]") != std::string::npos);
}

}  // namespace
