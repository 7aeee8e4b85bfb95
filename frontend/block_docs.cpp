// SPDX-License-Identifier: Apache-2.0
// Blocks, and the words that open or join constructs.
#include <array>

#include "frontend/key_docs.h"

namespace moe::frontend {
namespace {

constexpr std::array kBlocks = {
    BlockDoc{"cache", "What stays resident: how much, who leaves, who comes in.",
             "cache { capacity = 25%  scope = layer  eviction = lru }"},
    BlockDoc{"prefetch", "What is fetched before it is asked for.", "prefetch { strategy = gate  budget = 2 }"},
    BlockDoc{"learn",
             "An online predictor behind `value`, and behind `predicted` for `strategy = learned`. It learns while the "
             "model runs.",
             "learn { window = 24  discount = 0.8 }"},
    BlockDoc{"schedule", "What a miss does.", "schedule { mode = hybrid }"},
    BlockDoc{"monitor", "What is measured, over how long, and how often it is logged.",
             "monitor { metrics = [hit_rate, stall_ms]  window = 200 }"},
    BlockDoc{
        "adapt",
        "Rules that change keys, or the policy, while it runs. Every variant is checked and compiled beforehand, so "
        "that no rule can fail in flight.",
        "adapt { when hit_rate < 0.4 for 200 dispatches { eviction = lfu } revert }"},
    BlockDoc{"per_layer", "Gives each layer a cache of its own size, and divides the slots anew as routing shifts.",
             "per_layer { allocation = utility  rebalance_interval = 500 }"},
    BlockDoc{"tiers",
             "Where weights can live, fastest first, and when they move. It stands in place of `cache.capacity`.",
             "tiers { tier fast { location = gpu  capacity = 25% }  tier slow { location = host }  demote fast -> slow "
             "on evict }"},
    BlockDoc{"tier", "One place where weights can live.", "tier fast { location = gpu  capacity = 25% }"},
    BlockDoc{"memory", "What experts and the KV cache share, and what happens when it gets tight.",
             "memory { budget = 24GB  kv_reserve = 4GB  on shed { trigger memory_pressure } }"},
    BlockDoc{"layers", "Other values for a band of layers, both ends included.",
             "layers 0..3 { cache { eviction = lfu } }"},
    BlockDoc{"phase", "Other values while the engine is in a phase, `prefill` or `decode`.",
             "phase prefill { prefetch { strategy = none } }"},
    BlockDoc{"on", "What happens at an event: `on miss` in `schedule`, `on warn` and `on shed` in `memory`.",
             "on miss { when tokens >= 8 -> load  else -> cpu_load }"},
};

constexpr std::array kKeywords = {
    KeywordDoc{"version", "The language version that the file needs; stands first.", "version 2"},
    KeywordDoc{"import", "The policies of another file: beside this one, or of the standard library as `std/NAME.moe`.",
               "import \"std/lru.moe\""},
    KeywordDoc{"policy", "A policy: what stays resident, what is fetched early, what a miss does.",
               "policy p { cache { capacity = 25% } }"},
    KeywordDoc{"extends", "Starts from a copy of another policy and replaces entry by entry; adapt rules are added.",
               "policy small extends big { cache { capacity = 8 } }"},
    KeywordDoc{"param", "A constant that can be set from outside (`--set NAME=VALUE`) and that `moec tune` searches.",
               "param share = 50% in 10% .. 90% step 10%"},
    KeywordDoc{"in", "The values that a param may take.", "param n = 8 in [4, 8, 16]"},
    KeywordDoc{"step", "The distance between two values of a param's range.", "param n = 8 in 4 .. 64 step 4"},
    KeywordDoc{"let", "Names an expression. It sees the params and the lets before it.",
               "let hot = use_rate(24) - 0.05 * log(1 + idle)"},
    KeywordDoc{"when", "A condition: of a rule, of an arm of `on miss`, of a move, or of a short form.",
               "when hit_rate < 0.4 { eviction = lfu }"},
    KeywordDoc{"for", "How long the condition of a rule must have held before it fires.",
               "when hit_rate < 0.4 for 200 dispatches { eviction = lfu }"},
    KeywordDoc{"cooldown", "How many dispatches a rule rests after it fired.",
               "when hit_rate < 0.4 cooldown 1000 { eviction = lfu }"},
    KeywordDoc{"revert", "Undoes the rule's changes when its condition has been false for as long as it had to hold.",
               "when phase == prefill { strategy = none } revert"},
    KeywordDoc{"use", "Switches to another policy of the file or an import.", "when batch > 32 { use batch_policy }"},
    KeywordDoc{"rebalance", "Divides the slots among the layers anew, by `uniform`, `entropy` or `utility`.",
               "when hit_rate < 0.4 { rebalance entropy }"},
    KeywordDoc{"trigger", "Does now what a threshold would do: `trigger memory_pressure`.",
               "when memory_free < 1GB { trigger memory_pressure }"},
    KeywordDoc{"signal", "Tells the engine, by a name that it knows.", "when hit_rate < 0.1 { signal cold }"},
    KeywordDoc{"choose", "Tries policies in turn and keeps to the one with the best reward (an epsilon-greedy bandit).",
               "choose a, b by tokens_per_s every 500 dispatches explore 5%"},
    KeywordDoc{"by", "The reward of `choose`, or the measure of a precision ladder.",
               "choose a, b by tokens_per_s every 500 dispatches"},
    KeywordDoc{"every", "How long one choice lasts.", "choose a, b by hit_rate every 500 dispatches"},
    KeywordDoc{"explore", "The share of choices that try another policy.",
               "choose a, b by hit_rate every 500 dispatches explore 5%"},
    KeywordDoc{"promote", "Moves experts to a faster tier, when a condition holds.",
               "promote slow -> fast when uses >= 2"},
    KeywordDoc{"demote", "Moves experts to a slower tier, when a condition holds or when they are evicted.",
               "demote fast -> slow on evict"},
    KeywordDoc{"and", "True when both sides are.", "when hit_rate < 0.4 and phase == decode { eviction = lfu }"},
    KeywordDoc{"or", "True when either side is.", "when hit_rate < 0.4 or stall_ms > 5ms { eviction = lfu }"},
    KeywordDoc{"not", "True when what follows is false.", "when not (phase == decode) { strategy = none }"},
    KeywordDoc{"if", "One of two values, by a condition.", "least(if phase == decode then idle else recency)"},
    KeywordDoc{"then", "The value of `if` where its condition holds.", "if phase == decode then idle else recency"},
    KeywordDoc{"else", "The value of `if` where its condition fails; in `on miss`, the last arm.", "else -> load"},
    KeywordDoc{"true", "Holds always.", "overlap = true"},
    KeywordDoc{"false", "Holds never.", "overlap = false"},
};

}  // namespace

std::span<const BlockDoc> block_docs() { return kBlocks; }
std::span<const KeywordDoc> keyword_docs() { return kKeywords; }

}  // namespace moe::frontend
