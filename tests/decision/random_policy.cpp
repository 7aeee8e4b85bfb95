// SPDX-License-Identifier: Apache-2.0
#include "tests/decision/random_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <set>

#include "codegen/sites.h"
#include "ir/predictor.h"
#include "tests/ir/random_ir.h"

namespace moe::test {
namespace {

/// Those that have a kernel. MOE_TEST_EVICTION takes only the rule of that name.
ir::Eviction random_eviction(Dice& dice) {
  constexpr uint32_t kLast = static_cast<uint32_t>(ir::Eviction::random);
  const char* const only = std::getenv("MOE_TEST_EVICTION");
  const auto drawn = static_cast<ir::Eviction>(dice.below(kLast + 1));
  for (uint32_t i = 0; only != nullptr && i <= kLast; ++i) {
    if (ir::to_word(static_cast<ir::Eviction>(i)) == only) return static_cast<ir::Eviction>(i);
  }
  return drawn;
}

void random_cache(Dice& dice, ir::BoundPolicy& policy) {
  const ir::ModelShape& shape = policy.shape;
  policy.scope = dice.chance(0.4) ? ir::Scope::layer : ir::Scope::global;
  const uint32_t most = policy.scope == ir::Scope::layer ? shape.num_experts : policy.num_keys();
  // Half of the caches are small, so that much leaves and returns within a trace.
  policy.capacity = dice.between(1, dice.chance(0.5) ? (most + 7) / 8 : most);
  if (dice.chance(0.1)) policy.capacity = 1;
  policy.eviction = random_eviction(dice);
  policy.options.seed = dice.chance(0.5) ? 1 : dice.below(1000);
  policy.admit = dice.chance(0.05) ? ir::Admit::never : ir::Admit::always;
  policy.protect_selected = dice.chance(0.6);
  policy.frequency_decay = dice.pick({0.95, 0.5, 1.0, 0.9});
  policy.decay_interval = dice.pick<uint64_t>({100, 1, 3, 17});
  policy.score_ema_alpha = dice.pick({0.3, 1.0, 0.8, 0.05});
  policy.freq_threshold = dice.pick({0.05, 0.0, 0.01, 0.2, 1.0});
  policy.freq_window = dice.pick<uint64_t>({100, 1, 7, 40});
  if (dice.chance(0.3)) policy.ttl = dice.between(1, 60);
  policy.expert_size_gb = dice.pick({1.2, 0.05, 0.3});
  policy.memory_budget_gb = dice.pick({16.0, 1.0, 3.0});
  if (dice.chance(0.3)) {
    policy.memory_threshold = dice.pick({0.9, 0.5, 1.0, 0.2});
    policy.memory_headroom = policy.memory_threshold * dice.pick({0.9, 0.5, 0.1, 1.0});
  }
  const uint32_t num_pins = dice.chance(0.3) ? dice.below(policy.capacity + 1) : 0;
  std::set<uint32_t> pins;
  std::vector<uint32_t> pinned(policy.num_instances());
  for (uint32_t i = 0; i < num_pins; ++i) {
    const uint32_t key = dice.below(policy.num_keys());
    uint32_t& there = pinned[policy.scope == ir::Scope::layer ? key / shape.num_experts : 0];
    if (there < policy.capacity && pins.insert(key).second) ++there;
  }
  policy.pins.assign(pins.begin(), pins.end());
}

/// Strategies without a number of their own: half of the time one or none, else several.
ir::StrategyChain random_chain(Dice& dice) {
  const auto one = [&dice] {
    return dice.pick({ir::Strategy::history, ir::Strategy::lookahead, ir::Strategy::gate, ir::Strategy::affinity,
                      ir::Strategy::sequence, ir::Strategy::trajectory});
  };
  ir::StrategyChain chain;
  if (dice.chance(0.15)) return chain;
  chain.links = {one()};
  while (dice.chance(0.35)) {
    const ir::Strategy next = one();
    if (!chain.has(next)) chain.links.push_back(next);
  }
  return chain;
}

ir::LearnRule random_learner(Dice& dice) {
  ir::LearnRule learn;
  learn.window.value = dice.pick<uint32_t>({1, 3, 8});
  learn.discount.value = dice.pick({0.8, 1.0, 0.3});
  learn.rate.value = dice.pick({0.01, 0.5, 1.0});
  learn.freeze.value = dice.chance(0.2);
  return learn;
}

/// Puts a strategy somewhere into the chain.
void add_link(Dice& dice, ir::BoundPolicy& policy, ir::Strategy link) {
  if (policy.strategy.is_none()) policy.strategy.links.clear();
  const uint32_t place = dice.below(static_cast<uint32_t>(policy.strategy.links.size()) + 1);
  policy.strategy.links.insert(policy.strategy.links.begin() + place, link);
}

/// Skewed, so that there is reuse to find.
uint32_t popular(Dice& dice, uint32_t n) {
  const double u = dice.unit();
  return std::min(n - 1, static_cast<uint32_t>(u * u * n));
}

float random_weight(Dice& dice) {
  switch (dice.below(8)) {
    case 0:
      return 0.0f;
    case 1:
      return -0.0f;
    case 2:
      return 0.25f;
    default:
      return static_cast<float>(dice.unit());
  }
}

void random_token(Dice& dice, const ir::ModelShape& shape, RandomDispatch& dispatch) {
  std::vector<uint32_t> chosen;
  while (chosen.size() < shape.top_k) {
    const uint32_t id = dice.chance(0.7) ? popular(dice, shape.num_experts) : dice.below(shape.num_experts);
    if (std::find(chosen.begin(), chosen.end(), id) == chosen.end()) chosen.push_back(id);
  }
  for (uint32_t id : chosen) {
    const bool padding = dispatch.allow_padding && dice.chance(0.2);
    dispatch.ids.push_back(padding ? 0xFFFF : static_cast<int32_t>(id));
    dispatch.weights.push_back(random_weight(dice));
  }
}

void spoil(Dice& dice, const ir::ModelShape& shape, RandomDispatch& dispatch) {
  const size_t at = dice.below(static_cast<uint32_t>(dispatch.ids.size()));
  switch (dice.below(5)) {
    case 0:
      dispatch.ids[at] = static_cast<int32_t>(shape.num_experts);
      break;
    case 1:
      dispatch.ids[at] = -1;
      break;
    case 2:
      dispatch.weights[at] = std::numeric_limits<float>::quiet_NaN();
      break;
    case 3:
      dispatch.weights[at] = -1.0f;
      break;
    default:
      dispatch.weights[at] = std::numeric_limits<float>::infinity();
      break;
  }
}

RandomDispatch::Hint random_hint(Dice& dice, const ir::ModelShape& shape) {
  RandomDispatch::Hint hint{dice.below(shape.num_layers), {}, {}};
  for (uint32_t id = 0; id < shape.num_experts; ++id) {
    if (!dice.chance(0.3)) continue;
    hint.ids.push_back(id);
    hint.probabilities.push_back(dice.chance(0.3) ? 0.5f : static_cast<float>(dice.unit()));
  }
  return hint;
}

}  // namespace

ir::ModelShape random_shape(Dice& dice) {
  ir::ModelShape shape;
  shape.num_layers = dice.between(1, 6);
  shape.num_experts = dice.pick<uint32_t>({1, 2, 5, 8, 16, 65, 130});
  shape.top_k = dice.between(1, std::min(shape.num_experts, 4u));
  return shape;
}

ir::BoundPolicy random_policy(Dice& dice) { return random_policy(dice, random_shape(dice)); }

ir::BoundPolicy random_policy(Dice& dice, const ir::ModelShape& shape) {
  ir::BoundPolicy policy;
  policy.name = "random";
  policy.shape = shape;
  random_cache(dice, policy);
  policy.strategy = random_chain(dice);
  if (dice.chance(0.2)) {
    policy.learn = random_learner(dice);
    if (dice.chance(0.7)) add_link(dice, policy, ir::Strategy::learned);
  }
  policy.budget = dice.between(1, std::min(policy.capacity, 8u));
  policy.lookahead = dice.between(1, policy.shape.num_layers);
  policy.history_window = dice.pick<uint32_t>({50, 1, 2, 9});
  policy.store = dice.pick<uint32_t>({1, 2, 5, 16});
  policy.affinity_threshold = dice.pick({0.3, 0.0, 0.05, 0.7});
  policy.min_probability = dice.pick({0.0, 0.0, 0.1, 0.6});
  policy.miss = dice.pick({ir::MissAction::load, ir::MissAction::load, ir::MissAction::cpu_load, ir::MissAction::cpu});
  policy.hybrid = policy.miss == ir::MissAction::cpu;  // how its text says it; one choice without a cost model
  policy.timing_free = policy.strategy.is_none();
  policy.exactness = policy.miss == ir::MissAction::load ? ir::Exactness::exact : ir::Exactness::exact_on_host;
  policy.metrics = {"hit_rate"};
  return policy;
}

namespace {

/// Expressions that native code has; the others are drawn again.
class NativeExpr {
 public:
  NativeExpr(Dice& dice, ir::BoundPolicy& policy) : random_(dice.below(1u << 30)), exprs_(random_), policy_(policy) {
    exprs_.with_learn = policy.learn.has_value();
  }

  void quantity(ir::Expr& out, ir::test::ExprSite site) {
    draw([&] { out = exprs_.quantity(site); });
  }
  void duration(ir::Expr& out, ir::test::ExprSite site) {
    draw([&] { out = exprs_.node(ir::Type::time, site, 3); });
  }
  void condition(ir::Expr& out, ir::test::ExprSite site) {
    draw([&] { out = exprs_.condition(site); });
  }

 private:
  template <class Draw>
  void draw(Draw once) {
    do once();
    while (!codegen::beyond_sites(codegen::Program(policy_)).empty());
  }

  std::mt19937_64 random_;
  ir::test::RandomExpr exprs_;
  ir::BoundPolicy& policy_;
};

void add_preload(Dice& dice, ir::BoundPolicy& policy) {
  std::vector<uint32_t> held(policy.num_instances());
  std::set<uint32_t> keys(policy.pins.begin(), policy.pins.end());
  const auto instance = [&](uint32_t key) {
    return policy.scope == ir::Scope::layer ? key / policy.shape.num_experts : 0;
  };
  for (const uint32_t key : policy.pins) ++held[instance(key)];
  for (uint32_t i = dice.below(policy.capacity + 1); i > 0; --i) {
    const uint32_t key = dice.below(policy.num_keys());
    if (held[instance(key)] == policy.capacity || !keys.insert(key).second) continue;
    ++held[instance(key)];
    policy.preload.push_back(key);
  }
}

/// Shares of random pairs, some of them 0; weights for the learner.
std::shared_ptr<ir::Profile> random_profile(Dice& dice, const ir::BoundPolicy& policy) {
  const ir::ModelShape& shape = policy.shape;
  auto profile = std::make_shared<ir::Profile>();
  profile->num_layers = shape.num_layers;
  profile->num_experts = shape.num_experts;
  profile->top_k = shape.top_k;
  // A profile's file has these, so that a failing case can be written and read.
  profile->frequency.assign(shape.num_layers, std::vector<double>(shape.num_experts, 1.0 / shape.num_experts));
  profile->affinity.resize(shape.num_layers);
  for (auto& layer : profile->affinity) {
    layer.resize(shape.num_experts);
    for (auto& row : layer) {
      for (uint32_t i = dice.below(6); i > 0; --i) {
        row[dice.below(shape.num_experts)] = dice.chance(0.1) ? 0 : dice.unit();
      }
    }
  }
  if (!policy.learn || dice.chance(0.3)) return profile;
  const uint64_t num_weights = ir::Learner::num_weights(shape.num_experts, policy.learn->window.value);
  profile->learned.resize(shape.num_layers);
  for (std::vector<double>& weights : profile->learned) {
    weights.resize(dice.chance(0.9) ? num_weights : 2);  // those of another window are left alone
    for (double& weight : weights) weight = dice.unit() - 0.5;
  }
  return profile;
}

void add_schedule(Dice& dice, NativeExpr& exprs, ir::BoundPolicy& policy) {
  using ir::test::ExprSite;
  if (dice.chance(0.5)) {
    policy.hybrid = false;
    policy.miss = ir::MissAction::load;
    for (uint32_t i = dice.between(1, 3); i > 0; --i) {
      policy.arms.push_back({});
      policy.arms.back().action =
          dice.pick({ir::MissAction::load, ir::MissAction::cpu, ir::MissAction::cpu_load, ir::MissAction::cpu_load,
                     ir::MissAction::shared, ir::MissAction::skip, ir::MissAction::degrade});
      if (i > 1 || dice.chance(0.5)) exprs.condition(policy.arms.back().condition, ExprSite::miss);
    }
  }
  if (dice.chance(0.2)) exprs.condition(policy.drop, ExprSite::miss);
  if (policy.arms.empty() && dice.chance(0.3)) {
    policy.hybrid = false;
    policy.miss = ir::MissAction::load;
    policy.balance = true;
    if (dice.chance(0.6)) exprs.duration(policy.gpu_time, ExprSite::miss);
    if (dice.chance(0.6)) exprs.duration(policy.cpu_time, ExprSite::miss);
    if (dice.chance(0.4)) exprs.duration(policy.cpu_setup, ExprSite::miss);
    if (dice.chance(0.4)) exprs.duration(policy.load_time, ExprSite::miss);
  }
  if (dice.chance(0.4)) policy.arrival = dice.pick({1, 1, 2, 5});
  if (dice.chance(0.2)) {  // much on its way, as llama.cpp does
    policy.arms.assign(1, {});
    policy.arms.front().action = ir::MissAction::cpu_load;
    policy.balance = false;
    policy.arrival = dice.between(1, 3);
    policy.eviction = random_eviction(dice);
  }
  if (dice.chance(0.3)) policy.deadline_ms = dice.pick({1.0, 3.0, 6.0});
  if (dice.chance(0.3)) {
    policy.max_loads = dice.below(4);
    policy.loads_in_order = dice.chance(0.4);
  }
}

/// a | b, each any rule with a kernel.
void add_segments(Dice& dice, NativeExpr& exprs, ir::BoundPolicy& policy) {
  policy.eviction = ir::Eviction::segmented;
  policy.eviction.segments = {random_eviction(dice), random_eviction(dice)};
  for (ir::EvictionRule& segment : policy.eviction.segments) {
    if (!dice.chance(0.2)) continue;
    segment = ir::Eviction::least;
    exprs.quantity(segment.value, ir::test::ExprSite::expert);
  }
}

}  // namespace

void add_expressions(Dice& dice, ir::BoundPolicy& policy) {
  using ir::test::ExprSite;
  if (!policy.learn && dice.chance(0.3)) policy.learn = random_learner(dice);
  NativeExpr exprs(dice, policy);
  if (dice.chance(0.3)) {
    add_segments(dice, exprs, policy);
  } else if (dice.chance(0.5)) {
    policy.eviction = ir::Eviction::least;
    exprs.quantity(policy.eviction.value, ExprSite::expert);
  }
  if (policy.admit == ir::Admit::always && dice.chance(0.3)) {
    policy.admit = ir::Admit::when;
    exprs.condition(policy.admit.condition, dice.chance(0.5) ? ExprSite::admit : ExprSite::expert);
  }
  if (dice.chance(0.3)) exprs.quantity(policy.order, ExprSite::miss);
  if (dice.chance(0.25)) {  // last or not, in a chain or alone
    add_link(dice, policy, ir::Strategy::most);
    exprs.quantity(policy.strategy.value, ExprSite::expert);
  }
  if (dice.chance(0.3)) exprs.condition(policy.prefetch_when, ExprSite::prefetch);
  if (dice.chance(0.3)) {
    policy.prefetch_admit = ir::Admit::when;
    exprs.condition(policy.prefetch_admit.condition, ExprSite::admit);
  }
  if (dice.chance(0.3)) policy.top = dice.between(1, 4);
  if (dice.chance(0.3)) {
    policy.prefetch_evict = dice.pick({ir::Eviction::lru, ir::Eviction::lfu, ir::Eviction::score, ir::Eviction::fifo,
                                       ir::Eviction::random, ir::Eviction::freq_threshold, ir::Eviction::least});
    if (*policy.prefetch_evict == ir::Eviction::least) exprs.quantity(policy.prefetch_evict->value, ExprSite::expert);
  }
  policy.one_by_one = dice.chance(0.3);
  policy.side_buffer = dice.chance(0.25);
  add_schedule(dice, exprs, policy);
  if (dice.chance(0.4)) add_preload(dice, policy);
  if (dice.chance(0.4)) policy.options.profile = random_profile(dice, policy);
}

std::vector<RandomDispatch> random_trace(Dice& dice, const ir::ModelShape& shape, size_t length) {
  std::vector<RandomDispatch> trace;
  const bool weighted = dice.chance(0.8);
  const bool padded = dice.chance(0.2);
  const bool with_requests = dice.chance(0.5);
  const bool with_costs = dice.chance(0.4);
  const bool with_measures = dice.chance(0.6);
  const bool routed = dice.chance(0.4);
  const bool skips = dice.chance(0.3);
  uint32_t request = 0;
  for (size_t d = 0; d < length; ++d) {
    RandomDispatch dispatch;
    dispatch.layer = static_cast<uint32_t>(d % shape.num_layers);
    if (skips && dice.chance(0.1)) dispatch.layer = dice.below(shape.num_layers);
    dispatch.num_tokens = dice.chance(0.3) ? dice.between(2, 6) : 1;
    dispatch.allow_padding = padded;
    for (uint32_t t = 0; t < dispatch.num_tokens; ++t) random_token(dice, shape, dispatch);
    if (dice.chance(0.02)) spoil(dice, shape, dispatch);
    if (!weighted) dispatch.weights.clear();
    if (dice.chance(0.05)) {
      for (uint32_t i = dice.between(1, 3); i > 0; --i)
        dispatch.dropped.push_back(dice.below(shape.num_layers * shape.num_experts));
    }
    if (dice.chance(0.5)) dispatch.hints.push_back(random_hint(dice, shape));
    if (dice.chance(0.2)) dispatch.phase = ir::Phase::prefill;
    if (with_requests) {
      if (dice.chance(0.1)) request = dice.below(3);
      dispatch.requests.assign(dispatch.num_tokens, request);
    }
    if (routed && dice.chance(0.9)) {
      for (uint32_t i = dispatch.num_tokens * shape.num_experts; i > 0; --i) {
        const float probability = static_cast<float>(dice.below(5)) / 4;  // ties
        dispatch.probabilities.push_back(dice.chance(0.7) ? static_cast<float>(dice.unit()) : probability);
      }
      if (dice.chance(0.01)) dispatch.probabilities.back() = 1.5f;
    }
    if (with_costs) {
      dispatch.measured.has_cost_model = dice.chance(0.8);
      dispatch.measured.queue_wait_ms = dice.pick({0.0, 1.0, 3.5});
      dispatch.measured.transfer_ms = dice.pick({0.5, 2.0});
      dispatch.measured.cpu_setup_ms = dice.pick({0.0, 0.25});
      dispatch.measured.cpu_token_ms = dice.pick({0.5, 3.0});
    }
    if (with_measures) {
      dispatch.measured.stall_ms = dice.pick({0.0, 1.0, 7.5});
      dispatch.measured.queue_depth = dice.below(12);
      dispatch.measured.link_gbps = dice.pick({4.0, 11.0});
      dispatch.measured.tokens_per_s = dice.pick({20.0, 90.0});
      dispatch.measured.kv_used = dice.below(60) * 1e6;
    }
    trace.push_back(std::move(dispatch));
  }
  return trace;
}

}  // namespace moe::test
