// SPDX-License-Identifier: Apache-2.0
#include "frontend/keys.h"

#include <algorithm>
#include <array>

namespace moe::frontend {
namespace {

constexpr double kMaxCount = 9007199254740992.0;  // 2^53: every whole number up to it is exact
constexpr double kMaxU32 = 4294967295.0;
constexpr double kHuge = 1e300;
constexpr double kMaxWindow = 4096;

constexpr NumberRange kCount{1, kMaxCount};
constexpr NumberRange kCount32{1, kMaxU32};
constexpr NumberRange kWindow{1, kMaxWindow};
constexpr NumberRange kFraction{0, 1};
constexpr NumberRange kPositiveFraction{0, 1, true};
constexpr NumberRange kPositive{0, kHuge, true};
constexpr NumberRange kAny{};

constexpr std::string_view kEvictionWords =
    "lru lfu score freq_threshold fifo sieve s3_fifo arc lirs w_tinylfu random belady fallback";
constexpr std::string_view kVictimWords =
    "cache lru lfu score freq_threshold fifo sieve s3_fifo arc lirs w_tinylfu random belady";
constexpr std::string_view kStrategyWords = "none history lookahead gate affinity sequence learned trajectory";
constexpr std::string_view kDtypes = "as_stored f32 bf16 f16 f8_e4m3 int8 int4 int2";

using enum ValueType;

constexpr std::array kCacheKeys = {
    KeySpec{"capacity", capacity, kCount32, "auto", ""},
    KeySpec{"scope", word, kAny, "global layer", "global"},
    KeySpec{"eviction", eviction, kAny, kEvictionWords, "lru"},
    KeySpec{"admit", admit, kAny, "always never", "always"},
    KeySpec{"pin", pins, kAny, "", "[]"},
    KeySpec{"preload", pins, kAny, "", "[]"},
    KeySpec{"frequency_decay", real, kPositiveFraction, "", "0.95"},
    KeySpec{"decay_interval", integer, kCount, "", "100"},
    KeySpec{"score_ema_alpha", real, kPositiveFraction, "", "0.3"},
    KeySpec{"freq_threshold", real, kFraction, "", "0.05"},
    KeySpec{"freq_window", integer, {1, 1048576}, "", "100"},
    KeySpec{"ttl", integer, kCount, "none", "none"},
    KeySpec{"memory_threshold", real, kPositiveFraction, "none", "none"},
    KeySpec{"memory_headroom", real, kPositiveFraction, "", "0.7"},
    KeySpec{"memory_budget_gb", gigabytes, kPositive, "", "16"},
    KeySpec{"expert_size_gb", gigabytes, kPositive, "", "1.2"},
    KeySpec{"protect_selected", boolean, kAny, "", "true"},
    KeySpec{"one_by_one", boolean, kAny, "", "false"},
};

constexpr std::array kPrefetchKeys = {
    KeySpec{"strategy", strategy, kAny, kStrategyWords, "none"},
    KeySpec{"budget", integer, kCount32, "", "4"},
    KeySpec{"lookahead", integer, kWindow, "all", "1"},
    KeySpec{"history_window", integer, kWindow, "", "50"},
    KeySpec{"affinity_threshold", real, kFraction, "", "0.3"},
    KeySpec{"min_probability", real, kFraction, "", "0"},
    KeySpec{"bandwidth", real, kPositiveFraction, "", "100%"},
    KeySpec{"cancel_stale", boolean, kAny, "", "true"},
    KeySpec{"store", integer, kWindow, "", "64"},
    KeySpec{"top", integer, kCount32, "none", "none"},
    KeySpec{"side_buffer", boolean, kAny, "", "false"},
    KeySpec{"profile", text, kAny, "", ""},
    KeySpec{"when", condition, kAny, "", "true"},
    KeySpec{"admit", admit, kAny, "always", "always"},
    KeySpec{"evict", victim, kAny, kVictimWords, "cache"},
};

constexpr std::array kLearnKeys = {
    KeySpec{"window", integer, kWindow, "", "24"},        KeySpec{"discount", real, kPositiveFraction, "", "0.8"},
    KeySpec{"rate", real, kPositiveFraction, "", "0.01"}, KeySpec{"profile", text, kAny, "", ""},
    KeySpec{"freeze", boolean, kAny, "", "false"},
};

constexpr std::array kScheduleKeys = {
    KeySpec{"mode", word, kAny, "gpu_only cpu_fallback hybrid balance", "gpu_only"},
    KeySpec{"offload_threshold_ms", time_ms, kPositive, "", "50"},
    KeySpec{"overlap", boolean, kAny, "", "true"},
    KeySpec{"priority_routing", boolean, kAny, "", "false"},
    KeySpec{"deadline", time_ms, kPositive, "none", "none"},
    KeySpec{"max_loads", integer, {0, kMaxU32}, "none", "none"},
    KeySpec{"loads_in_order", boolean, kAny, "", "false"},
    KeySpec{"arrival", integer, {0, kMaxU32}, "", "0"},
    KeySpec{"order", order, kAny, "auto", "auto"},
    KeySpec{"approximate", boolean, kAny, "", "false"},
    KeySpec{"drop", drop, kAny, "never", "never"},
    KeySpec{"gpu_time", duration, kAny, "auto", "auto"},
    KeySpec{"cpu_time", duration, kAny, "auto", "auto"},
    KeySpec{"cpu_setup", duration, kAny, "auto", "auto"},
    KeySpec{"load_time", duration, kAny, "auto", "auto"},
};

constexpr std::array kMonitorKeys = {
    KeySpec{"metrics", metrics, kAny, "", "[hit_rate]"},
    KeySpec{"window", integer, kWindow, "", "100"},
    KeySpec{"log_interval", integer, kCount32, "", "50"},
};

constexpr std::array kPerLayerKeys = {
    KeySpec{"allocation", word, kAny, "entropy uniform utility", "entropy"},
    KeySpec{"total_budget", integer, kCount32, "", ""},
    KeySpec{"min_capacity", integer, kCount32, "", "2"},
    KeySpec{"max_capacity", integer, kCount32, "", "64"},
    KeySpec{"rebalance_interval", integer, {0, kMaxCount}, "", "500"},
    KeySpec{"entropy_window", integer, kWindow, "", "200"},
    KeySpec{"capacities", counts, kCount32, "", ""},
};

constexpr std::array kTiersKeys = {
    KeySpec{"inclusive", boolean, kAny, "", "true"},
    KeySpec{"eviction", eviction, kAny, kEvictionWords, ""},
    KeySpec{"direct", boolean, kAny, "", "false"},
    KeySpec{"precision", ladder, kAny, kDtypes, ""},
};

constexpr std::array kTierKeys = {
    KeySpec{"location", word, kAny, "gpu host disk", ""}, KeySpec{"dtype", word, kAny, kDtypes, "as_stored"},
    KeySpec{"capacity", capacity, kCount32, "auto", ""},  KeySpec{"pinned", boolean, kAny, "", ""},
    KeySpec{"group_size", integer, kCount32, "", "128"},  KeySpec{"path", text, kAny, "", ""},
};

constexpr std::array kMemoryKeys = {
    KeySpec{"budget", size, {1, kMaxCount}, "", ""},
    KeySpec{"kv_reserve", size, {0, kMaxCount}, "", ""},
    KeySpec{"warn", real, kPositiveFraction, "", "80%"},
    KeySpec{"shed", real, kPositiveFraction, "", "92%"},
};

constexpr std::array kBlocks = {
    BlockSpec{"cache", kCacheKeys, kNoItems, "", "", ""},
    BlockSpec{"prefetch", kPrefetchKeys, kNoItems, "", "", ""},
    BlockSpec{"learn", kLearnKeys, kNoItems, "", "", ""},
    BlockSpec{"schedule", kScheduleKeys, kNoItems, "", "", "miss"},
    BlockSpec{"monitor", kMonitorKeys, kNoItems, "", "", ""},
    BlockSpec{"adapt", {}, kRules, "", "", ""},
    BlockSpec{"per_layer", kPerLayerKeys, kNoItems, "", "", ""},
    BlockSpec{"tiers", kTiersKeys, kMoves, "tier", "", ""},
    BlockSpec{"memory", kMemoryKeys, kNoItems, "", "", "warn shed"},
    BlockSpec{"layers", {}, kNoItems, "cache prefetch schedule tiers", "", ""},
    BlockSpec{"phase", {}, kNoItems, "prefetch schedule cache", "prefill decode", ""},
};

// Blocks that stand only inside others.
constexpr BlockSpec kTier{"tier", kTierKeys, kNoItems, "", "*", ""};

struct Alias {
  std::string_view block;  // "": in adapt rules only
  std::string_view old_name;
  std::string_view target_block;
  std::string_view name;
};

constexpr std::array kAliases = {
    Alias{"cache", "lfu_decay", "cache", "frequency_decay"},
    Alias{"", "prefetch_strategy", "prefetch", "strategy"},
    Alias{"", "prefetch_budget", "prefetch", "budget"},
    Alias{"", "schedule_mode", "schedule", "mode"},
};

constexpr std::array<std::string_view, 14> kMetrics = {
    "hit_rate",  "miss_rate",    "eviction_rate", "prefetch_accuracy", "prefetch_coverage", "stall_ms", "queue_depth",
    "link_gbps", "tokens_per_s", "memory_used",   "memory_free",       "cache_fill",        "kv_used",  "entropy"};

const KeySpec* find_by_name(const BlockSpec& block, std::string_view name) {
  const auto found =
      std::find_if(block.keys.begin(), block.keys.end(), [&](const KeySpec& k) { return k.name == name; });
  return found == block.keys.end() ? nullptr : &*found;
}

// The first of words with a space between them; `words` keeps the others.
std::string_view take_word(std::string_view& words) {
  const size_t space = std::min(words.find(' '), words.size());
  const std::string_view word = words.substr(0, space);
  words.remove_prefix(std::min(space + 1, words.size()));
  return word;
}

}  // namespace

const BlockSpec* find_block(std::string_view name) {
  if (name == kTier.name) return &kTier;
  const auto* found = std::find_if(kBlocks.begin(), kBlocks.end(), [&](const BlockSpec& b) { return b.name == name; });
  return found == kBlocks.end() ? nullptr : found;
}

std::vector<std::string_view> block_names() {
  std::vector<std::string_view> names;
  for (const BlockSpec& block : kBlocks) names.push_back(block.name);
  return names;
}

const KeySpec* find_key(const BlockSpec& block, std::string_view name) {
  for (const Alias& alias : kAliases) {
    if (alias.block == block.name && alias.old_name == name) return find_by_name(block, alias.name);
  }
  return find_by_name(block, name);
}

std::vector<std::string_view> key_names(const BlockSpec& block) {
  std::vector<std::string_view> names;
  for (const KeySpec& key : block.keys) names.push_back(key.name);
  return names;
}

ActionKey find_action_key(std::string_view name) {
  for (const Alias& alias : kAliases) {
    if (alias.old_name != name) continue;
    const BlockSpec* block = find_block(alias.target_block);
    return {block, find_by_name(*block, alias.name)};
  }
  for (const BlockSpec& block : kBlocks) {
    if (const KeySpec* key = find_by_name(block, name)) return {&block, key};
  }
  return {};
}

std::vector<std::string_view> action_key_names() {
  std::vector<std::string_view> names;
  for (const BlockSpec& block : kBlocks) {
    for (const KeySpec& key : block.keys) names.push_back(key.name);
  }
  return names;
}

std::vector<std::string_view> split_words(std::string_view words) {
  std::vector<std::string_view> out;
  while (!words.empty()) out.push_back(take_word(words));
  return out;
}

bool contains_word(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    if (take_word(words) == word) return true;
  }
  return false;
}

bool is_enum_word(std::string_view name) {
  const auto takes = [&](const KeySpec& key) { return contains_word(key.words, name); };
  const auto any_takes = [&](const BlockSpec& block) {
    return std::any_of(block.keys.begin(), block.keys.end(), takes);
  };
  return any_takes(kTier) || std::any_of(kBlocks.begin(), kBlocks.end(), any_takes) || name == "prefill" ||
         name == "decode" || name == "frequency_threshold";
}

std::span<const std::string_view> metric_names() { return kMetrics; }

}  // namespace moe::frontend
