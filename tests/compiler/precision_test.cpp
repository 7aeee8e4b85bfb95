// SPDX-License-Identifier: Apache-2.0
// Experts in lower precision, in live engines: `degrade`, ladders, tiers with a dtype, GPU tiers below the first. What
// plans do and in which precision is the reference interpreter's decision; every byte is what the codecs make of the
// model's.
#include <chrono>
#include <thread>

#include "ir/interpreter.h"
#include "tests/compiler/tiered_engine.h"

namespace moe::test {
namespace {

using precision::Format;

const Model& model() {
  static const Model packed({Format::qint8, Format::qint4});
  return packed;
}

Format format_of(ir::Dtype dtype) {
  if (dtype == ir::Dtype::int8) return Format::qint8;
  return dtype == ir::Dtype::int4 ? Format::qint4 : Format::native;
}

/// The precision of every expert in the first tier, from the interpreter's decisions and the tiers' text.
class Expected {
 public:
  explicit Expected(const Policy& policy) : tiers_(*policy.bound().source->tiers), interpreter_(policy.bound()) {
    current_.assign(kLayers * kExperts, Format::native);
    before_ = current_;
    held_.assign(kLayers * kExperts, 0);
  }

  const ir::Decision& decide(uint32_t layer, const std::vector<int32_t>& ids) {
    ir::DispatchInput input;
    input.layer = layer;
    input.num_tokens = static_cast<uint32_t>(ids.size()) / kTopK;
    input.top_k = kTopK;
    input.ids = ids;
    decision_ = interpreter_.dispatch(input).value();
    used_.clear();
    raised_.clear();
    for (const ir::ExpertDecision& one : decision_.experts) {
      const uint32_t key = layer * kExperts + one.expert;
      if (one.action == ir::Action::degrade) used_[key] = lower_copy(key);
      if (one.action != ir::Action::hit) load(key, tiers_.tiers[0].dtype.value);
    }
    for (const uint32_t key : decision_.prefetched) load(key, tiers_.tiers[0].dtype.value);
    for (const ir::PrecisionChoice& one : decision_.precisions) {
      one.raised ? raise(one.key, one.dtype) : load(one.key, one.dtype);
    }
    for (const ir::TierMove& move : decision_.moves) {
      const uint32_t bit = 1U << move.to;
      held_[move.key] = move.from == move.to ? held_[move.key] & ~bit : held_[move.key] | bit;
    }
    return decision_;
  }

  /// Of an entry of this dispatch. What is raised may be there in the old precision still, or already in the new one.
  bool allows(uint32_t layer, const moe_plan_entry& entry) const {
    const uint32_t key = layer * kExperts + entry.expert;
    const auto is = [&](Format format) { return entry.precision == static_cast<uint32_t>(format); };
    if (entry.action == MOE_ACTION_CPU || entry.action == MOE_ACTION_CPU_LOAD) return is(Format::native);
    const auto used = used_.find(key);
    if (used != used_.end()) return is(used->second);
    const auto raised = raised_.find(key);
    return is(raised != raised_.end() ? raised->second : current_[key]) || is(before_[key]);
  }
  bool is_current(uint32_t key, uint32_t format) const { return static_cast<uint32_t>(current_[key]) == format; }

 private:
  static size_t width(Format format) { return format == Format::native ? 32 : format == Format::qint8 ? 8 : 4; }
  /// From the fastest tier that has it, unless that has a lower copy in GPU memory; from disk through the host.
  void load(uint32_t key, ir::Dtype wanted) {
    current_[key] = before_[key] = narrower(format_of(wanted), source_of(key));
  }
  /// The dispatch itself still uses the old one.
  void raise(uint32_t key, ir::Dtype wanted) {
    raised_[key] = current_[key];
    before_[key] = current_[key];
    const Format higher = narrower(format_of(wanted), source_of(key));
    if (width(higher) > width(current_[key])) current_[key] = higher;
  }
  static Format narrower(Format a, Format b) { return width(a) < width(b) ? a : b; }
  Format source_of(uint32_t key) const {
    const auto& all = tiers_.tiers;
    size_t i = 1;
    const auto is_lower = [&](size_t tier) {
      return all[tier].location.value == ir::Location::gpu &&
             width(format_of(all[tier].dtype.value)) < width(format_of(all[0].dtype.value));
    };
    while (i + 1 < all.size() && ((held_[key] >> i & 1) == 0 || is_lower(i))) ++i;
    if (all[i].location.value == ir::Location::disk && !tiers_.direct.value) {
      for (size_t host = 1; host < i; ++host) {
        if (all[host].location.value == ir::Location::host) return format_of(all[host].dtype.value);
      }
    }
    return format_of(all[i].dtype.value);
  }
  Format lower_copy(uint32_t key) const {
    for (size_t i = 1; i < tiers_.tiers.size(); ++i) {
      if (tiers_.tiers[i].location.value == ir::Location::gpu && (held_[key] >> i & 1) != 0)
        return format_of(tiers_.tiers[i].dtype.value);
    }
    FAIL("the interpreter degrades what no tier has");
    return Format::native;
  }

  const ir::TiersRule& tiers_;
  ir::Interpreter interpreter_;
  ir::Decision decision_;
  std::vector<Format> current_, before_;  ///< by key; `before`: what it was raised from
  std::vector<uint32_t> held_;            ///< by key: the tiers below the first, one bit each
  std::map<uint32_t, Format> used_;       ///< of this dispatch's `degrade`
  std::map<uint32_t, Format> raised_;
};

void check_actions(const ir::Decision& decision, const moe_plan& plan) {
  REQUIRE(plan.num_entries == decision.experts.size());
  constexpr uint32_t kActions[] = {MOE_ACTION_HIT,      MOE_ACTION_LOAD,    MOE_ACTION_STREAM, MOE_ACTION_CPU,
                                   MOE_ACTION_CPU_LOAD, MOE_ACTION_DEGRADE, MOE_ACTION_SHARED, MOE_ACTION_SKIP};
  for (uint32_t i = 0; i < plan.num_entries; ++i) {
    const ir::ExpertDecision& decided = decision.experts[i];
    CAPTURE(decided.expert);
    REQUIRE(plan.entries[i].expert == decided.expert);
    const uint32_t action = plan.entries[i].action;
    REQUIRE((action == MOE_ACTION_LATE ? static_cast<uint32_t>(MOE_ACTION_HIT) : action) ==
            kActions[static_cast<int>(decided.action)]);
  }
}

TEST_CASE("plans do what the interpreter decides, in the precision that it decides") {
  for (const LossyCase& one : lossy_cases()) {
    CAPTURE(one.blocks);
    const Policy& policy = one.policy();
    TieredEngine engine(model());
    engine.open();
    REQUIRE_MESSAGE(policy.attach(engine.get()) == MOE_OK, std::string(moe_last_error()));
    Expected expected(policy);
    uint64_t lower = 0;
    uint64_t degraded = 0;
    uint32_t number = 0;
    for (const std::vector<int32_t>& ids : random_routing(500, 3)) {
      CAPTURE(number);
      const uint32_t layer = number++ % kLayers;
      const ir::Decision& decision = expected.decide(layer, ids);
      moe_plan plan;
      REQUIRE_MESSAGE(engine.dispatch(layer, ids, plan) == MOE_OK, moe_last_error());
      check_actions(decision, plan);
      for (uint32_t i = 0; i < plan.num_entries; ++i) {
        REQUIRE_MESSAGE(moe_plan_wait(engine.get(), &plan, i, nullptr) == MOE_OK, moe_last_error());
        const moe_plan_entry& entry = plan.entries[i];
        CAPTURE(entry.expert);
        CAPTURE(entry.precision);
        CAPTURE(entry.action);
        REQUIRE(expected.allows(layer, entry));
        engine.check(layer, entry);
        lower += entry.precision == MOE_PRECISION_NATIVE ? 0 : entry.num_selections;
        degraded += entry.action == MOE_ACTION_DEGRADE;
      }
      REQUIRE(moe_plan_release(engine.get(), &plan, nullptr) == MOE_OK);
    }
    const moe_stats_t stats = engine.stats();
    CHECK(stats.lower_precision == lower);
    CHECK(stats.degraded == degraded);
    CHECK((degraded != 0) == one.degrades);
    CHECK(stats.failed_loads == 0);
    CHECK((stats.disk_bytes != 0) == one.on_disk);
  }
}

TEST_CASE("what a second GPU tier has does not cross the link again") {
  for (const char* more : {"", "inclusive = false "}) {
    CAPTURE(more);
    const Policy policy("tiers { " + gpu(8) +  // no batch streams
                        "tier beside { location = gpu capacity = 36 } tier cold { location = host } demote fast -> "
                        "beside on evict " +
                        more + "}");
    TieredEngine engine(model());
    engine.open();
    REQUIRE(policy.attach(engine.get()) == MOE_OK);
    engine.run(600, 17);
    const moe_stats_t stats = engine.stats();
    CHECK(stats.streams == 0);
    CHECK(stats.loads > 3 * kLayers * kExperts);
    // Each eviction brings the expert beside the cache once, from the host; loads but for the first ones come from
    // there.
    const uint64_t at_most = *more == '\0' ? 2 * kLayers * kExperts : stats.evictions + 2 * kLayers * kExperts;
    CHECK(stats.bytes_moved <= at_most * kExpertBytes);
  }
}

TEST_CASE("what the ladder raises arrives, and is used from then on") {
  const Policy policy("tiers { " + gpu(6) +
                      "tier cold { location = host } precision = by (seen) [as_stored >= 9, int8 >= 4, int4] } " +
                      kApproximate);
  TieredEngine engine(model());
  engine.open();
  REQUIRE(policy.attach(engine.get()) == MOE_OK);
  std::vector<uint32_t> seen;
  engine.on_entry = [&](uint32_t, const moe_plan_entry& entry) {
    if (entry.expert == 1 && (seen.empty() || seen.back() != entry.precision)) seen.push_back(entry.precision);
  };
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < until && (seen.empty() || seen.back() != MOE_PRECISION_NATIVE)) {
    engine.step(0, {1, 2});
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  CHECK(seen == std::vector<uint32_t>{MOE_PRECISION_QINT4, MOE_PRECISION_QINT8, MOE_PRECISION_NATIVE});
}

TEST_CASE("after a swap to an exact policy nothing is computed with less than the model's weights") {
  const Policy lower(
      "tiers { tier fast { location = gpu dtype = int4 capacity = 6 } tier low { location = gpu dtype = int4 capacity "
      "= 9 } tier cold { location = host } demote fast -> low on evict } " +
      std::string(kApproximate));
  const Policy ladder("tiers { " + gpu(6) +
                      "tier cold { location = host } precision = by (seen) [as_stored >= 9, int4] } " + kApproximate);
  const Policy degrade("tiers { " + gpu(5) +
                       "tier low { location = gpu dtype = int4 capacity = 9 } tier cold { location = host } demote "
                       "fast -> low on evict } " +
                       kDegrade);
  const Policy exact("cache { capacity = 6 pin = [1:4] }");
  TieredEngine engine(model());
  engine.open();
  REQUIRE(lower.attach(engine.get()) == MOE_OK);
  bool is_exact = false;
  uint64_t lower_entries = 0;
  engine.on_entry = [&](uint32_t, const moe_plan_entry& entry) {
    if (is_exact) REQUIRE(entry.precision == MOE_PRECISION_NATIVE);
    lower_entries += entry.precision != MOE_PRECISION_NATIVE;
  };
  std::mt19937 random(5);
  const Policy* const lossy[] = {&lower, &ladder, &degrade};
  for (int round = 0; round < 30; ++round) {
    engine.run(1 + static_cast<uint32_t>(random() % 30), static_cast<uint32_t>(random()), round % 2 == 0);
    is_exact = random() % 2 == 0;
    while (is_exact && engine.num_held() != 0) engine.release_oldest();
    REQUIRE((is_exact ? exact : *lossy[random() % 3]).attach(engine.get()) == MOE_OK);
  }
  CHECK(lower_entries > 0);
}

TEST_CASE("a precision that the store has not is refused by name, with what to do") {
  const Policy policy("tiers { " + gpu(5) +
                      "tier low { location = gpu dtype = int2 capacity = 9 } tier cold { location = host } } " +
                      kDegrade);
  TieredEngine engine(model());
  engine.open();
  CHECK(policy.attach(engine.get()) == MOE_UNSUPPORTED);
  CHECK(std::string(moe_last_error()) ==
        "policy `tiered`, tier 2: it holds experts in `int2`, and the store has no such copies: pack the model with "
        "`moec pack MODEL -o STORE --precision qint2` and open the store");
  const Policy narrow("tiers { " + gpu(5) + "tier cold { location = host dtype = bf16 } } " + kApproximate);
  CHECK(narrow.attach(engine.get()) == MOE_UNSUPPORTED);
  CHECK(std::string(moe_last_error()).find("the model has `down_proj.weight` as F32") != std::string::npos);
  const Policy good("tiers { " + gpu(5) +
                    "tier low { location = gpu dtype = int4 capacity = 9 } tier cold { location = host } } " +
                    kDegrade);
  REQUIRE(good.attach(engine.get()) == MOE_OK);
  const Policy more("tiers { " + gpu(5) +
                    "tier low { location = gpu dtype = int4 capacity = 10 } tier cold { location = host } } " +
                    kDegrade);
  CHECK(more.attach(engine.get()) == MOE_FULL);
  CHECK(std::string(moe_last_error()) ==
        "the lower GPU tiers of policy `tiered` hold 10 experts; the first attached policy's held 9");
}

}  // namespace
}  // namespace moe::test
