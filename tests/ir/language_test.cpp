// SPDX-License-Identifier: Apache-2.0
// The reference interpreter on the parts of the language that are about more than one rule: every expectation is worked
// by hand from docs/semantics.md.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "frontend/frontend.h"
#include "ir/allocate.h"
#include "ir/interpreter.h"

namespace {

using namespace moe::ir;

/// A policy text bound to a shape, and what it decides, written down.
class Run {
 public:
  Run(const std::string& text, ModelShape shape, uint64_t seed = 1) {
    Diagnostics diagnostics;
    const SourceFile source("test.moe", text);
    moe::frontend::LowerOptions lower;
    lower.replay = true;
    const auto module = moe::frontend::compile_to_ir(source, lower, diagnostics);
    BindOptions options;
    options.seed = seed;
    if (module) bound_ = bind(module->policies.front(), shape, options, diagnostics);
    const std::string findings = render_text(source, diagnostics, false);
    INFO(findings);
    REQUIRE(bound_.has_value());
    interpreter_ = std::make_unique<Interpreter>(*bound_);
  }

  Interpreter& operator*() { return *interpreter_; }
  Interpreter* operator->() { return interpreter_.get(); }

  /// One token's experts in a layer: "3 hit, 5 load; left 0:1".
  std::string step(uint32_t layer, std::vector<int32_t> ids, std::vector<float> weights = {},
                   MeasuredInputs measured = {}, Phase phase = Phase::decode) {
    DispatchInput input;
    input.layer = layer;
    input.num_tokens = 1;
    input.top_k = static_cast<uint32_t>(ids.size());
    input.ids = ids;
    input.weights = weights;
    input.measured = measured;
    input.phase = phase;
    const std::optional<Decision> decision = interpreter_->dispatch(input);
    REQUIRE(decision.has_value());
    last = *decision;
    std::string text;
    for (const ExpertDecision& expert : decision->experts) {
      text += (text.empty() ? "" : ", ") + std::to_string(expert.expert) + " " + std::string(to_word(expert.action));
    }
    const uint32_t experts = bound_->shape.num_experts;
    const auto pairs = [&](const char* name, const std::vector<uint32_t>& keys) {
      if (keys.empty()) return;
      text += std::string("; ") + name;
      for (const uint32_t key : keys) text += " " + std::to_string(key / experts) + ":" + std::to_string(key % experts);
    };
    pairs("left", decision->evicted);
    pairs("ahead", decision->prefetched);
    return text;
  }

  Decision last;

 private:
  std::optional<BoundPolicy> bound_;
  std::unique_ptr<Interpreter> interpreter_;
};

MeasuredInputs links(double wait_ms, double transfer_ms, double cpu_setup_ms, double cpu_token_ms) {
  MeasuredInputs measured;
  measured.has_cost_model = true;
  measured.queue_wait_ms = wait_ms;
  measured.transfer_ms = transfer_ms;
  measured.cpu_setup_ms = cpu_setup_ms;
  measured.cpu_token_ms = cpu_token_ms;
  return measured;
}

TEST_CASE("a | b: what a evicts goes to b, a hit in b comes back") {
  // Three slots: two for lru, one for fifo.
  Run run("policy p { cache { capacity = 3  eviction = lru | fifo } }", {1, 8, 1, 0});
  CHECK(run.step(0, {1}) == "1 load");
  CHECK(run.step(0, {2}) == "2 load");
  CHECK(run.step(0, {3}) == "3 load");            // 1 moves to b
  CHECK(run.step(0, {1}) == "1 hit");             // back to a, 2 moves to b
  CHECK(run.step(0, {4}) == "4 load; left 0:2");  // 3 is a's least recent and moves to b, which lets 2 go
  CHECK(run->resident() == std::vector<uint32_t>{1, 3, 4});
}

TEST_CASE("least(E) with rates that survive eviction") {
  // use_rate(2) halves at every dispatch of the layer and gains a half when used.
  Run run("policy p { cache { capacity = 2  eviction = least(use_rate(2)) } }", {1, 8, 1, 0});
  run.step(0, {1});                               // 1: .5
  run.step(0, {1});                               // 1: .75
  CHECK(run.step(0, {2}) == "2 load");            // 1: .375, 2: .5
  CHECK(run.step(0, {3}) == "3 load; left 0:1");  // 1: .1875, 2: .25, 3: .5
  CHECK(run.step(0, {1}) == "1 load; left 0:2");  // 1 had kept .09375 and has .59375 now, 2: .125, 3: .25
}

TEST_CASE("admit asks about the newcomer and its victim") {
  Run run("policy p { cache { capacity = 1  eviction = lru  admit = when(seen >= 2 or victim(seen) == 0) } }",
          {1, 8, 1, 0});
  CHECK(run.step(0, {1}) == "1 load");    // the slot is free: nobody has to leave
  CHECK(run.step(0, {2}) == "2 stream");  // seen once
  CHECK(run.step(0, {2}) == "2 load; left 0:1");
}

TEST_CASE("on miss: arms in order, deadline, and the loads of highest weight") {
  Run run(R"(policy p {
    cache { capacity = 4  eviction = lru }
    schedule { deadline = 10ms  max_loads = 1  on miss { when weight < 0.2 -> cpu  else -> load } }
  })",
          {1, 8, 3, 0});
  CHECK(run.step(0, {1, 2, 3}, {0.1F, 0.3F, 0.6F}) == "1 cpu, 2 cpu, 3 load");
  // 12 ms is over the deadline for every load.
  CHECK(run.step(0, {4, 5, 6}, {0.3F, 0.3F, 0.4F}, links(8, 4, 1, 1)) == "4 cpu, 5 cpu, 6 cpu");
  // 9 ms for the first load in the queue: of the loads that are in time the heaviest goes.
  CHECK(run.step(0, {4, 5, 6}, {0.3F, 0.3F, 0.4F}, links(5, 4, 1, 1)) == "4 load, 5 cpu, 6 cpu");
}

TEST_CASE("hybrid compares with a cost model") {
  Run run("policy p { cache { capacity = 2 } schedule { mode = hybrid } }", {1, 8, 2, 0});
  // First load 4 ms, second 8 ms; the host needs 5 ms.
  CHECK(run.step(0, {1, 2}, {}, links(0, 4, 4, 1)) == "1 load, 2 cpu");
}

TEST_CASE("drop leaves experts out before anything counts them") {
  Run run("policy p { cache { capacity = 4 } schedule { approximate = true  drop = when(weight < 0.25) } }",
          {1, 8, 2, 0});
  CHECK(run.step(0, {1, 2}, {0.9F, 0.1F}) == "1 load");
  CHECK(run.last.dropped == std::vector<uint32_t>{2});
  CHECK(run->resident() == std::vector<uint32_t>{1});
}

TEST_CASE("a rule fires after its stretch, rests, and is taken back") {
  // hit_rate over one dispatch; two dispatches of misses turn prefetch's budget... here: the capacity.
  Run run(R"(policy p {
    cache { capacity = 1  eviction = lru }
    monitor { window = 1 }
    adapt { when hit_rate < 0.5 for 2 dispatches { capacity = 3 } revert }
  })",
          {1, 8, 1, 0});
  CHECK(run.step(0, {1}) == "1 load");  // a miss
  CHECK(run.step(0, {2}) == "2 load; left 0:1");
  CHECK(run.last.rules_fired == std::vector<uint32_t>{0});
  CHECK(run->capacity(0) == 1);         // holds from the next dispatch
  CHECK(run.step(0, {3}) == "3 load");  // three slots now
  CHECK(run.step(0, {4}) == "4 load");
  CHECK(run.step(0, {4}) == "4 hit");
  CHECK(run.step(0, {3}) == "3 hit");  // two hits: taken back
  CHECK(run.step(0, {3}) == "3 hit; left 0:2 0:4");
}

TEST_CASE("use puts another policy in force, with its own rule of eviction") {
  Run run(R"(policy p {
    cache { capacity = 2  eviction = lru }
    monitor { window = 1 }
    adapt { when hit_rate < 0.5 { use other } }
  }
  policy other { cache { capacity = 2  eviction = fifo } })",
          {1, 8, 1, 0});
  run.step(0, {1});
  CHECK(run->policy_in_force() == "other");
  run.step(0, {2});
  run.step(0, {1});
  CHECK(run.step(0, {3}) == "3 load; left 0:1");  // lru would let 2 go
}

TEST_CASE("choose plays every policy once, then the best") {
  Run run(R"(policy p {
    cache { capacity = 1 }
    monitor { window = 2 }
    adapt { choose small, large by hit_rate every 2 dispatches explore 0 }
  }
  policy small { cache { capacity = 1 } }
  policy large { cache { capacity = 4 } })",
          {1, 8, 1, 0});
  std::vector<std::string> played;
  for (int i = 0; i < 12; ++i) {
    run.step(0, {i % 2});
    played.push_back(run->policy_in_force());
  }
  CHECK(played[0] == "small");
  CHECK(played[2] == "large");
  CHECK(played.back() == "large");  // two experts in turn: one slot never hits
}

TEST_CASE("phases and bands") {
  Run run(R"(policy p {
    cache { capacity = 2  scope = layer }
    layers 1..1 { cache { capacity = 1 } }
    phase prefill { cache { admit = never } }
  })",
          {2, 8, 1, 0});
  CHECK(run.step(0, {1}, {}, {}, Phase::prefill) == "1 stream");
  CHECK(run.step(0, {1}) == "1 load");
  CHECK(run.step(0, {2}) == "2 load");
  CHECK(run.step(1, {1}) == "1 load");
  CHECK(run.step(1, {2}) == "2 load; left 1:1");
}

// ARC, Figure 4, case II: a miss that B1 remembers raises p, here to 1, whether the expert enters or not.
TEST_CASE("a rule with ghosts notices the misses that admit = never turns away") {
  for (const bool remembered : {false, true}) {
    Run run(R"(policy p {
      cache { capacity = 2  eviction = arc }
      phase prefill { cache { admit = never } }
    })",
            {1, 8, 1, 0});
    for (const int32_t expert : {1, 2, 1}) (void)run.step(0, {expert});  // T1 = {2}, T2 = {1}
    CHECK(run.step(0, {3}) == "3 load; left 0:2");                       // |T1| > p = 0
    if (remembered) CHECK(run.step(0, {2}, {}, {}, Phase::prefill) == "2 stream");
    CHECK(run.step(0, {4}) == (remembered ? "4 load; left 0:1" : "4 load; left 0:3"));  // |T1| > p: of T1, else of T2
  }
}

TEST_CASE("preload fills what the pins leave, and may leave") {
  Run run("policy p { cache { capacity = 3  pin = [5]  preload = [1, 2, 3] } }", {1, 8, 1, 0});
  CHECK(run->resident() == std::vector<uint32_t>{1, 2, 5});
  CHECK(run.step(0, {4}) == "4 load; left 0:1");
}

TEST_CASE("degrade needs a lower copy, and loads behind") {
  Run run(R"(policy p {
    tiers {
      tier full { location = gpu  capacity = 1 }
      tier low  { location = gpu  dtype = int4  capacity = 8 }
      tier ram  { location = host }
      promote ram -> low when uses >= 0
    }
    schedule { approximate = true  on miss { else -> degrade } }
  })",
          {1, 8, 1, 1000});
  // No copy at first: no arm is left, so the host computes; at the end of the dispatch the expert enters `low`.
  CHECK(run.step(0, {1}) == "1 cpu");
  CHECK(run.last.moves == std::vector<TierMove>{{1, 2, 1}});
  CHECK(run.step(0, {1}) == "1 degrade");
  CHECK(run.step(0, {1}) == "1 hit");
}

std::string copies(const Decision& decision) {
  std::string out;
  for (const PrecisionChoice& choice : decision.precisions) {
    if (!out.empty()) out += ", ";
    out += std::to_string(choice.key) + " " + std::string(to_word(choice.dtype)) + (choice.raised ? " raised" : "");
  }
  return out;
}

TEST_CASE("a ladder gives each expert a precision, and raises it") {
  Run run(R"(policy p {
    cache { scope = layer }
    tiers {
      tier fast { location = gpu  capacity = 2 }
      tier ram  { location = host }
      precision = by (seen) [bf16 >= 3, int8 >= 2, int4]
    }
    schedule { approximate = true }
  })",
          {1, 8, 1, 1000});
  CHECK(run.step(0, {1}) == "1 load");  // its first use: seen is 1
  CHECK(copies(run.last) == "1 int4");
  CHECK(run.step(0, {1}) == "1 hit");
  CHECK(copies(run.last) == "1 int8 raised");
  CHECK(run.step(0, {1}) == "1 hit");
  CHECK(copies(run.last) == "1 bf16 raised");
  CHECK(run.step(0, {1}) == "1 hit");
  CHECK(copies(run.last).empty());
  CHECK(run.step(0, {2}) == "2 load");
  CHECK(run.step(0, {3}) == "3 load; left 0:1");
  CHECK(copies(run.last) == "3 int4");
  CHECK(run.step(0, {1}) == "1 load; left 0:2");  // it comes as what it has become
  CHECK(copies(run.last) == "1 bf16");
}

TEST_CASE("what only passes through comes in the ladder's precision too") {
  Run run(R"(policy p {
    cache { admit = never }
    tiers { tier fast { location = gpu  capacity = 2 } tier ram { location = host }
            precision = by (weight) [bf16 >= 0.5, int4] }
    schedule { approximate = true }
  })",
          {1, 8, 2, 1000});
  CHECK(run.step(0, {1, 2}, {0.7F, 0.3F}) == "1 stream, 2 stream");
  CHECK(copies(run.last) == "1 bf16, 2 int4");
}

// The fast tier holds one expert; what it lets go enters `slow`, which holds three. Who leaves slow, in order.
std::string moves_of(const std::string& eviction, const std::vector<int32_t>& experts) {
  Run run(
      "policy p { cache { eviction = lru } tiers { tier fast { location = gpu  capacity = 1 } "
      "tier slow { location = host  capacity = 3 } tier cold { location = disk } "
      "demote fast -> slow on evict  direct = true  eviction = " +
          eviction + " } }",
      {1, 8, 1, 1000});
  std::string out;
  for (const int32_t expert : experts) {
    (void)run.step(0, {expert});
    for (const TierMove& move : run.last.moves) {
      if (move.from == move.to) out += std::to_string(move.key) + " ";
    }
  }
  return out;
}

TEST_CASE("the tiers below let go by a rule of their own") {
  // 1, 2, 3 enter slow; 1 is loaded from there, and comes back; 4 and 5 enter.
  const std::vector<int32_t> experts = {1, 2, 3, 1, 4, 5, 6};
  CHECK(moves_of("lru", experts) == "2 3 ");
  CHECK(moves_of("fifo", experts) == "1 2 ");
  // seen: 1 twice, the others once; equal ones by recency.
  CHECK(moves_of("lfu", experts) == "2 3 ");
  CHECK(moves_of("least(expert)", experts) == "1 2 ");
  CHECK(moves_of("least(0 - expert)", experts) == "3 4 ");
  // A load from slow sets the visited bit, which saves 1 once.
  CHECK(moves_of("sieve", experts) == "2 3 ");
}

TEST_CASE("conditional moves of the first tier") {
  Run run(R"(policy p {
    cache { admit = never }
    tiers {
      tier fast { location = gpu  capacity = 1 }
      tier slow { location = host }
      promote slow -> fast when request_uses >= 2
      demote fast -> slow when weight < 0.1
    }
  })",
          {1, 8, 1, 1000});
  CHECK(run.step(0, {1}) == "1 stream");
  CHECK(run.step(0, {1}) == "1 stream; ahead 0:1");
  CHECK(run.step(0, {1}) == "1 hit");
  CHECK(run.step(0, {2}) == "2 stream");
  CHECK(run.step(0, {2}) == "2 stream; left 0:1; ahead 0:2");
  CHECK(run.step(0, {2}, {0.05F}) == "2 hit; left 0:2");
}

TEST_CASE("a band has tiers of its own") {
  Run run(R"(policy p {
    cache { scope = layer  capacity = 4 }
    layers 1..1 { tiers { tier fast { location = gpu  capacity = 1 } tier ram { location = host  capacity = 2 }
                          tier cold { location = disk } } }
  })",
          {2, 8, 1, 1000});
  CHECK(run->capacity(0) == 4);
  CHECK(run->capacity(1) == 1);
  CHECK(run.step(0, {1}) == "1 load");
  CHECK(run.last.moves.empty());
  CHECK(run.step(1, {1}) == "1 load");
  CHECK(run.last.moves == std::vector<TierMove>{{9, 2, 1}});  // from disk through the host
  CHECK(run.step(1, {2}) == "2 load; left 1:1");
}

TEST_CASE("memory's rules see residents and keys and values together") {
  Run run(R"(policy p {
    cache { capacity = 4 }
    memory { budget = 4000B  warn = 50%  on warn { capacity = 1 } }
  })",
          {1, 8, 1, 1000});
  MeasuredInputs kv;
  kv.kv_used = 1500;
  CHECK(run.step(0, {1}) == "1 load");
  CHECK(run.step(0, {2}, {}, kv) == "2 load");  // 3500 of 4000
  CHECK(run.last.rules_fired == std::vector<uint32_t>{0});
  CHECK(run.step(0, {2}) == "2 hit; left 0:1");
}

TEST_CASE("a load behind arrives later") {
  Run run("policy p { cache { capacity = 4 } schedule { mode = cpu_fallback  arrival = 1 } }", {1, 8, 1, 0});
  CHECK(run.step(0, {1}) == "1 cpu_load");
  CHECK(run.step(0, {1}) == "1 cpu");  // on its way
  CHECK(run.step(0, {1}) == "1 hit");
}

TEST_CASE("random repeats with its seed and spares nobody for ever") {
  const std::string text = "policy p { cache { capacity = 4  eviction = random } }";
  const auto play = [&](uint64_t seed) {
    Run run(text, {1, 16, 1, 0}, seed);
    std::string all;
    for (int i = 0; i < 200; ++i) all += run.step(0, {i * 7 % 16}) + "\n";
    return all;
  };
  CHECK(play(1) == play(1));
  CHECK(play(1) != play(2));
}

/// The future of one layer's accesses, one a dispatch.
class Known final : public Future {
 public:
  explicit Known(std::vector<uint32_t> accesses) : accesses_(std::move(accesses)) {}
  void advance() { ++begun_; }
  double next_use(uint32_t key, uint64_t done) const override {
    for (size_t i = begun_ - 1 + done; i < accesses_.size(); ++i) {
      if (accesses_[i] == key) return static_cast<double>(i - (begun_ - 1 + done) + 1);
    }
    return HUGE_VAL;
  }

 private:
  std::vector<uint32_t> accesses_;
  size_t begun_ = 0;
};

// The fewest loads that serve the accesses when every miss loads: by trying everything.
uint32_t fewest_loads(const std::vector<uint32_t>& accesses, size_t at, std::vector<uint32_t> held, size_t capacity) {
  if (at == accesses.size()) return 0;
  if (std::find(held.begin(), held.end(), accesses[at]) != held.end()) {
    return fewest_loads(accesses, at + 1, held, capacity);
  }
  held.push_back(accesses[at]);
  if (held.size() <= capacity) return 1 + fewest_loads(accesses, at + 1, held, capacity);
  uint32_t best = UINT32_MAX;
  for (size_t i = 0; i + 1 < held.size(); ++i) {
    std::vector<uint32_t> rest = held;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
    best = std::min(best, 1 + fewest_loads(accesses, at + 1, rest, capacity));
  }
  return best;
}

TEST_CASE("belady loads as little as can be") {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    std::minstd_rand random(seed + 1);
    std::vector<uint32_t> accesses(12);
    for (uint32_t& expert : accesses) expert = static_cast<uint32_t>(random() % 5);
    Known future(accesses);
    Run run("policy p { cache { capacity = 3  eviction = belady } }", {1, 5, 1, 0});
    run->set_future(&future);
    uint32_t loads = 0;
    for (const uint32_t expert : accesses) {
      future.advance();
      run.step(0, {static_cast<int32_t>(expert)});
      loads += run.last.experts.front().action == Action::load ? 1 : 0;
    }
    CHECK(loads == fewest_loads(accesses, 0, {}, 3));
  }
}

TEST_CASE("slots are shared by largest remainder, exactly") {
  CHECK(allocate({10, 1, 8}, {1, 1, 2}) == std::vector<uint32_t>{3, 3, 4});  // 7 to share: 1.75, 1.75, 3.5
  CHECK(allocate({10, 0, 4}, {0, 0, 9}) == std::vector<uint32_t>{3, 3, 4});  // capped, the rest evenly
  CHECK(allocate({100, 2, 4}, {1, 2, 3}) == std::vector<uint32_t>{4, 4, 4});
  std::minstd_rand random(7);
  for (int i = 0; i < 2000; ++i) {
    const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    const uint32_t layers = 1 + below(9), low = below(4), high = low + below(20);
    const uint64_t total = low * layers + below(200);
    std::vector<double> signal(layers);
    for (double& s : signal) s = below(5) == 0 ? 0 : below(1000);
    const std::vector<uint32_t> slots = allocate({total, low, high}, signal);
    const uint64_t sum = std::accumulate(slots.begin(), slots.end(), uint64_t{0});
    CHECK(sum == std::min<uint64_t>(total, uint64_t{high} * layers));
    for (const uint32_t s : slots) CHECK((s >= low && s <= high));
  }
}

}  // namespace
