// SPDX-License-Identifier: Apache-2.0
#include "tests/decision/random_tiers.h"

#include <fmt/format.h>

#include <regex>
#include <vector>

namespace moe::test {
namespace {

std::string some_capacity(Dice& dice, uint32_t experts) {
  return dice.chance(0.3)
             ? fmt::format("capacity = {}%", dice.between(1, 100))
             : fmt::format("capacity = {}", dice.between(1, dice.chance(0.5) ? (experts + 3) / 4 : experts));
}

std::string condition(Dice& dice) {
  switch (dice.below(6)) {
    case 0:
      return "tokens > 0";
    case 1:
      return fmt::format("weight > {}", dice.pick({0.2, 0.6}));
    case 2:
      return fmt::format("idle < {}", dice.between(1, 9));
    case 3:
      return fmt::format("seen > {}", dice.between(1, 5));
    case 4:
      return fmt::format("recency > {}", dice.between(1, 30));
    default:
      return fmt::format("uses < {} or request_uses > 2", dice.between(1, 4));
  }
}

std::string moves(Dice& dice, const std::vector<std::string>& names) {
  std::string text;
  for (size_t from = 0; from < names.size(); ++from) {
    for (size_t to = 0; to < names.size(); ++to) {
      if (from == to || !dice.chance(0.3)) continue;
      const bool on_evict = from == 0 && dice.chance(0.5);
      text += fmt::format("    {} {} -> {} {}\n", to < from ? "promote" : "demote", names[from], names[to],
                          on_evict ? std::string("on evict") : "when " + condition(dice));
    }
  }
  return text;
}

std::string ladder(Dice& dice) {
  const std::string by = dice.pick({"score", "weight", "seen / 8", "1 / (1 + recency)", "1 / (1 + idle)"});
  return fmt::format("    precision = by ({}) [{}]\n", by,
                     dice.pick({"bf16 >= 0.5, int8 >= 0.1, int4", "bf16 >= 0.7, int2", "int8"}));
}

}  // namespace

std::string random_tiers(Dice& dice, const ir::ModelShape& shape, uint32_t capacity) {
  const uint32_t experts = shape.num_layers * shape.num_experts;
  std::vector<std::string> names = {"fast"};
  std::string text = fmt::format("  tiers {{\n    tier fast {{ location = gpu {} }}\n",
                                 capacity == 0 ? std::string() : fmt::format("capacity = {}", capacity));
  const auto add = [&](const char* name, const std::string& keys) {
    names.emplace_back(name);
    text += fmt::format("    tier {} {{ {} }}\n", name, keys);
  };
  const bool has_low = dice.chance(0.6);
  if (has_low) add("low", "location = gpu dtype = int4 " + some_capacity(dice, experts));
  if (dice.chance(0.7)) add("slow", "location = host " + some_capacity(dice, experts));
  add("cold", dice.chance(0.6) ? "location = disk" : "location = host");
  if (has_low && dice.chance(0.7)) text += "    promote cold -> low when tokens > 0\n";  // for `degrade`
  text += moves(dice, names);
  if (dice.chance(0.4)) text += ladder(dice);
  if (dice.chance(0.6)) text += "    inclusive = false\n";
  if (dice.chance(0.3)) text += "    direct = true\n";
  if (dice.chance(0.7)) {
    text += fmt::format("    eviction = {}\n",
                        dice.pick({"lru", "fifo", "lfu", "random", "sieve", "s3_fifo", "arc", "lirs", "w_tinylfu",
                                   "least(seen)", "least(freq + idle)", "least(recency)"}));
  }
  return text + "  }\n";
}

std::string with_tiers(Dice& dice, const ir::BoundPolicy& policy, const std::string& source) {
  static const std::regex kCapacity("capacity = [0-9]+ ");
  static const std::regex kSchedule("schedule \\{[^}]*\\}");
  constexpr auto kFirst = std::regex_constants::format_first_only;
  std::string text = std::regex_replace(source, kCapacity, "", kFirst);
  if (dice.chance(0.7)) {
    const char* const actions =
        dice.pick({"when weight < 0.5 -> degrade  else -> load", "else -> degrade",
                   "when weight < 0.3 -> skip  when weight < 0.6 -> degrade  else -> cpu_load"});
    text = std::regex_replace(text, kSchedule,
                              fmt::format("schedule {{ approximate = true on miss {{ {} }} }}", actions), kFirst);
  } else {
    text = std::regex_replace(text, kSchedule, "schedule { mode = gpu_only approximate = true }", kFirst);
  }
  return text.insert(text.find("  prefetch {"), random_tiers(dice, policy.shape, policy.capacity));
}

}  // namespace moe::test
