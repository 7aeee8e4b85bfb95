// SPDX-License-Identifier: Apache-2.0
// Phrases: numbers with their units, capacities, rules of eviction, lists of experts.
#include <fmt/format.h>

#include <cmath>

#include "ir/explain_parts.h"
#include "ir/print_value.h"

namespace moe::ir::plain {
namespace {

constexpr size_t kLongestCode = 160;  // bytes: beyond that an expression is for the policy's text to show

std::string with_commas(uint64_t number) {
  std::string text = fmt::format("{}", number);
  for (size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, ",");
  }
  return text;
}

std::string range(const Pin::Range& range, std::string_view noun) {
  if (range.first == range.last) return fmt::format("{} {}", noun, range.first);
  return fmt::format("{}s {} to {}", noun, range.first, range.last);
}

std::string expert(const Pin& pin) {
  switch (pin.kind) {
    case Pin::Kind::all:
      return "all experts";
    case Pin::Kind::hottest:
      if (pin.hottest.kind == Capacity::Kind::automatic) {
        return "the profile's most used experts, as many as the cache holds";
      }
      if (pin.hottest.kind == Capacity::Kind::ratio) {
        return fmt::format("the {} of all experts that the profile shows most used", share(pin.hottest.ratio));
      }
      return fmt::format("the {} that the profile shows most used", count(pin.hottest.amount, "expert"));
    case Pin::Kind::experts:
      break;
  }
  const std::string where = pin.layers ? range(*pin.layers, "layer") : "every layer";
  return fmt::format("{} of {}", range(pin.experts, "expert"), where);
}

std::string leaver_without_code(const EvictionRule& rule, const CacheRule& cache) {
  switch (rule.kind) {
    case Eviction::lru:
      return "the least recently used expert leaves";
    case Eviction::lfu:
      return fmt::format("the expert with the fewest uses leaves; counts shrink to {} of themselves every {}",
                         share(cache.frequency_decay.value), count(cache.decay_interval.value, "access"));
    case Eviction::score:
      return fmt::format(
          "the expert with the smallest average router weight leaves; each use moves its average by {} of the way",
          share(cache.score_ema_alpha.value));
    case Eviction::freq_threshold:
      return fmt::format(
          "the expert with the smallest share of the last {} leaves, and everyone whose share is below {} leaves at "
          "once",
          count(cache.freq_window.value, "access"), share(cache.freq_threshold.value));
    case Eviction::fifo:
      return "the expert that was loaded first leaves";
    case Eviction::sieve:
      return "the oldest expert that was not used since the hand last passed it leaves";
    case Eviction::s3_fifo:
      return "an expert that was not used again while in the small queue leaves, else the oldest of the main queue";
    case Eviction::arc:
      return "the balance of recent and frequent experts, which past misses shift, says who leaves";
    case Eviction::lirs:
      return "the expert with the longest time between its uses leaves";
    case Eviction::w_tinylfu:
      return "the less often used of the window's oldest and the main part's oldest leaves";
    case Eviction::random:
      return "an expert drawn by lot leaves";
    case Eviction::belady:
      return "the expert whose next use is farthest away leaves, which only a replay knows";
    case Eviction::least:
      return fmt::format("the expert with the smallest {} leaves", code(rule.value));
    case Eviction::segmented:
      break;
  }
  return "two parts of 2/3 and 1/3 of the slots decide";
}

}  // namespace

std::string count(uint64_t number, std::string_view noun) {
  const std::string_view ending = number == 1 ? "" : noun.ends_with("s") || noun.ends_with("ch") ? "es" : "s";
  return fmt::format("{} {}{}", with_commas(number), noun, ending);
}

std::string share(double ratio) { return fmt::format("{:.4g} %", ratio * 100); }

std::string time(double ms) { return fmt::format("{:.4g} ms", ms); }

std::string size(double bytes) {
  constexpr const char* kUnits[] = {"bytes", "KB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < std::size(kUnits)) {
    bytes /= 1000;
    ++unit;
  }
  return bytes >= 1000 ? fmt::format("{:.0f} {}", bytes, kUnits[unit]) : fmt::format("{:.3g} {}", bytes, kUnits[unit]);
}

std::string code(std::string_view text) {
  if (text.size() <= kLongestCode) return fmt::format("`{}`", text);
  return fmt::format("`{} ...`", text.substr(0, text.rfind(' ', kLongestCode - 40)));
}

std::string code(const Expr& expr) { return code(print_expr(expr)); }

std::string list(const std::vector<std::string>& items, std::string_view last) {
  std::string text;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += i + 1 == items.size() ? fmt::format(" {} ", last) : ", ";
    text += items[i];
  }
  return text;
}

std::string sentence(std::string clause) {
  if (!clause.empty() && clause[0] >= 'a' && clause[0] <= 'z') clause[0] = static_cast<char>(clause[0] - 'a' + 'A');
  return clause + ".";
}

std::string held(const Capacity& capacity, Scope scope) {
  switch (capacity.kind) {
    case Capacity::Kind::slots:
      return count(capacity.amount, "expert");
    case Capacity::Kind::ratio:
      return fmt::format("{} of {} experts", share(capacity.ratio), scope == Scope::layer ? "its layer's" : "all");
    case Capacity::Kind::bytes:
      return fmt::format("as many experts as fit into {}", size(static_cast<double>(capacity.amount)));
    case Capacity::Kind::automatic:
      break;
  }
  return "as many experts as the given fast memory holds";
}

std::string leaver(const EvictionRule& rule, const CacheRule& cache) {
  if (rule.kind != Eviction::segmented || rule.segments.size() < 2) {
    const std::string who = leaver_without_code(rule, cache);
    return rule.kind == Eviction::least ? who : fmt::format("{} ({})", who, code(print(rule)));
  }
  return fmt::format(
      "two parts decide ({}): from the first, 2/3 of the slots, {} for the second; from there {}; a hit in the second "
      "brings an expert back",
      code(print(rule)), leaver_without_code(rule.segments[0], cache), leaver_without_code(rule.segments[1], cache));
}

std::string leaver(const CacheRule& cache) { return leaver(cache.eviction.value, cache); }

std::string experts(const std::vector<Sourced<Pin>>& pins) {
  constexpr size_t kMostNamed = 6;
  std::vector<std::string> names;
  for (const Sourced<Pin>& pin : pins) {
    if (names.size() == kMostNamed) {
      names.push_back(fmt::format("{} more", pins.size() - kMostNamed));
      break;
    }
    names.push_back(expert(pin.value));
  }
  return names.empty() ? "nobody" : list(names);
}

}  // namespace moe::ir::plain
