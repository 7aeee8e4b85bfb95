// SPDX-License-Identifier: Apache-2.0
#include "tests/decision/random_changes.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/decision/random_tiers.h"

namespace moe::test {
namespace {

constexpr const char* kEvictions[] = {"lru",
                                      "lfu",
                                      "score",
                                      "freq_threshold",
                                      "fifo",
                                      "sieve",
                                      "s3_fifo",
                                      "arc",
                                      "lirs",
                                      "w_tinylfu",
                                      "random",
                                      "least(freq + score)",
                                      "lru",
                                      "lfu",
                                      "fifo",
                                      "freq_threshold",
                                      "least(age)",
                                      "lru | lfu",
                                      "fifo | least(uses)",
                                      "least(recency) | sieve",
                                      "arc | w_tinylfu"};

/// Draws keys with values, of a policy over a given shape.
class Changes {
 public:
  Changes(Dice& dice, const ir::BoundPolicy& base)
      : dice_(dice), base_(base), most_(base.scope == ir::Scope::layer ? base.shape.num_experts : base.num_keys()) {}

  std::string members() {
    std::string text;
    if (dice_.chance(0.4)) text += bands();
    for (const char* phase : {"prefill", "decode"}) {
      if (dice_.chance(0.4)) text += fmt::format("  phase {} {{ {} }}\n", phase, blocks(/*of_band=*/false));
    }
    if (base_.scope == ir::Scope::layer && dice_.chance(0.4)) text += per_layer();
    text += fmt::format("  monitor {{ window = {} }}\n", dice_.pick({1, 3, 10, 40}));
    std::string rules;
    for (uint32_t i = dice_.below(4); i > 0; --i) rules += rule();
    if (has_other && dice_.chance(0.5)) rules += choice();
    if (!rules.empty()) text += "  adapt {\n" + rules + "  }\n";
    return text;
  }

  bool has_other = false;

 private:
  std::string eviction() { return kEvictions[dice_.below(std::size(kEvictions))]; }
  uint32_t capacity() { return dice_.between(1, dice_.chance(0.5) ? (most_ + 7) / 8 : most_); }

  std::string of_cache(bool of_band) {
    const bool free = !of_band || base_.scope == ir::Scope::layer;
    switch (dice_.below(free ? 11 : 2)) {
      case 0:
        return fmt::format("protect_selected = {}", dice_.chance(0.5));
      case 1:
        return fmt::format("admit = {}",
                           dice_.pick({"never", "always", "when(weight > 0.3)", "when(phase == prefill)"}));
      case 2:
      case 3:
        return fmt::format("capacity = {}", capacity());
      case 4:
      case 5:
        return fmt::format("eviction = {}", eviction());
      case 6:
        return fmt::format("freq_window = {}", dice_.pick({1, 7, 40, 100}));
      case 7:
        return fmt::format("ttl = {}", dice_.between(1, 60));
      case 8:
        return fmt::format("decay_interval = {}", dice_.pick({1, 3, 17}));
      case 9:
        return fmt::format("freq_threshold = {}", dice_.pick({0.0, 0.05, 0.2}));
      default:
        return fmt::format("score_ema_alpha = {}", dice_.pick({1.0, 0.05}));
    }
  }

  std::string of_prefetch() {
    switch (dice_.below(6)) {
      case 5:
        return fmt::format("side_buffer = {}", dice_.chance(0.7));
      case 0:
        return fmt::format("budget = {}", dice_.between(1, 4));
      case 1:
        return fmt::format("strategy = {}", dice_.pick({"none", "history", "lookahead", "gate"}));
      case 2:
        return fmt::format("history_window = {}", dice_.pick({1, 2, 9, 50}));
      case 3:
        return fmt::format("lookahead = {}", dice_.between(1, base_.shape.num_layers));
      default:
        return fmt::format("min_probability = {}", dice_.pick({0.0, 0.1, 0.6}));
    }
  }

  std::string of_schedule() {
    switch (dice_.below(5)) {
      case 4:
        return fmt::format("arrival = {}", dice_.below(3));
      case 0:
        return fmt::format("mode = {}", dice_.pick({"gpu_only", "cpu_fallback"}));
      case 1:
        return fmt::format("max_loads = {}", dice_.below(4));
      case 2:
        return "order = least(-weight)";
      default:
        return "on miss { when weight > 0.5 -> load  else -> cpu_load }";
    }
  }

  std::string blocks(bool of_band) {
    std::string text;
    if (dice_.chance(0.7)) text += fmt::format("cache {{ {} }} ", of_cache(of_band));
    if (dice_.chance(0.4)) text += fmt::format("prefetch {{ {} }} ", of_prefetch());
    if (dice_.chance(0.3)) text += fmt::format("schedule {{ {} }} ", of_schedule());
    return text;
  }

  std::string bands() {
    const uint32_t last = base_.shape.num_layers - 1;
    const uint32_t middle = dice_.below(last + 1);
    const std::string tiers = dice_.chance(0.15) ? random_tiers(dice_, base_.shape, 0) : "";
    std::string text = fmt::format("  layers 0..{} {{ {} {} }}\n", middle, blocks(/*of_band=*/true), tiers);
    if (middle < last && dice_.chance(0.5)) {
      text +=
          fmt::format("  layers {}..{} {{ {} }}\n", dice_.between(middle + 1, last), last, blocks(/*of_band=*/true));
    }
    return text;
  }

  std::string per_layer() {
    shares_slots_ = true;
    const uint32_t least = dice_.between(1, std::min(2U, most_));
    std::string text = fmt::format("  per_layer {{ allocation = {} min_capacity = {} max_capacity = {} ",
                                   dice_.pick({"uniform", "entropy", "utility"}), least, dice_.between(least, most_));
    if (dice_.chance(0.3)) text += fmt::format("total_budget = {} ", base_.shape.num_layers * dice_.between(1, most_));
    return text + fmt::format("rebalance_interval = {} entropy_window = {} }}\n", dice_.between(1, 30),
                              dice_.pick({1, 4, 50}));
  }

  std::string condition() {
    const double part = dice_.pick({0.2, 0.5, 0.8});
    switch (dice_.below(14)) {
      case 0:
        return fmt::format("hit_rate < {}", part);
      case 1:
        return fmt::format("miss_rate < {}", part);
      case 2:
        return fmt::format("eviction_rate > {}", part);
      case 3:
        return fmt::format("prefetch_accuracy < {}", part);
      case 4:
        return fmt::format("prefetch_coverage > {}", part / 4);
      case 5:
        return fmt::format("cache_fill > {}", part);
      case 6:
        return "phase == prefill";
      case 7:
        return "batch > 2";
      case 8:
        return fmt::format("entropy > {}", dice_.pick({1.0, 2.0, 3.0}));
      case 9:
        return fmt::format("avg_over(hit_rate, {}) < {}", dice_.between(1, 20), part);
      case 10:
        return fmt::format("trend(miss_rate, {}) > 0", dice_.between(2, 20));
      case 11:
        return fmt::format("max_over(queue_depth, {}) > 6 or stall_ms > 2ms", dice_.between(1, 9));
      case 12:
        return fmt::format("memory_used > {}MB or kv_used > 30MB", dice_.pick({200, 900, 3000}));
      default:
        return fmt::format("tokens_per_s > 50 and link_gbps < 9 or memory_free < {}MB or capacity < 3",
                           dice_.pick({100, 500}));
    }
  }

  std::string action() {
    if (shares_slots_ && dice_.chance(0.4)) {
      return fmt::format("rebalance {}", dice_.pick({"uniform", "entropy", "utility"}));
    }
    switch (dice_.below(has_other ? 8 : 6)) {
      case 0:
      case 1:
        return of_cache(/*of_band=*/false);
      case 2:
        return "prefetch." + of_prefetch();
      case 3:
        return of_schedule();
      case 4:
        return "trigger memory_pressure";
      case 5:
        return fmt::format("signal {}", dice_.pick({"cold", "hot"}));
      case 6:
        return "use other";
      default:
        return "use random";
    }
  }

  std::string rule() {
    std::string text = fmt::format("    when {}", condition());
    if (dice_.chance(0.5)) {
      text += fmt::format(" for {} {}", dice_.between(1, 12), dice_.pick({"accesses", "dispatches", "tokens"}));
    }
    if (dice_.chance(0.4)) text += fmt::format(" cooldown {}", dice_.below(30));
    text += " {";
    for (uint32_t i = dice_.between(1, 2); i > 0; --i) text += " " + action();
    text += " }";
    if (dice_.chance(0.6)) text += " revert";
    return text + "\n";
  }

  std::string choice() {
    return fmt::format("    choose random, other by {} every {} dispatches explore {}\n",
                       dice_.pick({"hit_rate", "-miss_rate", "-stall_ms"}), dice_.between(1, 15),
                       dice_.pick({0.0, 0.1, 0.5}));
  }

  Dice& dice_;
  const ir::BoundPolicy& base_;
  const uint32_t most_;
  bool shares_slots_ = false;
};

std::string with_members(const ir::BoundPolicy& policy, const std::string& members, Dice* of_tiers = nullptr) {
  std::string text = to_source(policy);
  if (of_tiers != nullptr) text = with_tiers(*of_tiers, policy, text);
  return text.insert(text.rfind('}'), members);
}

}  // namespace

std::string random_changing_source(Dice& dice, const ir::BoundPolicy& base) {
  Changes changes(dice, base);
  changes.has_other = dice.chance(0.4);
  const bool tiered = dice.chance(0.35);
  const std::string members = dice.chance(tiered ? 0.5 : 1.0) ? changes.members() : "";
  std::string text = with_members(base, members, tiered ? &dice : nullptr);
  if (!changes.has_other) return text;
  // The other lies in the same caches: its pins are left out, and its scope is the first one's.
  ir::BoundPolicy other = random_policy(dice);
  other.name = "other";
  other.shape = base.shape;
  other.scope = base.scope;
  other.pins.clear();
  other.capacity = std::min(other.capacity, base.capacity);
  other.budget = std::min(other.budget, other.capacity);
  other.lookahead = std::min(other.lookahead, base.shape.num_layers);
  Changes of_other(dice, other);
  const std::string phase = dice.chance(0.3) ? "  phase prefill { cache { ttl = 9 } }\n" : "";
  return text + with_members(other, phase);
}

}  // namespace moe::test
