// SPDX-License-Identifier: Apache-2.0
// Variables and functions of expressions.
#include <array>

#include "frontend/key_docs.h"

namespace moe::frontend {
namespace {

constexpr std::string_view kExpert =
    "rules about one expert: `eviction`, `strategy = most(E)`, `admit`, ladders, moves";
constexpr std::string_view kExpertMiss =
    "rules about one expert, `on miss`, `order`, `drop` and the times of `balance`";
constexpr std::string_view kExpertMissPrefetch =
    "rules about one expert, `on miss`, `order`, `drop`, the times of `balance` and prefetch's `when`";
constexpr std::string_view kEverywhere = "every run-time expression";

constexpr std::array kVariables = {
    NameDoc{"freq", "freq", "number", kExpert, "Decayed accesses since the load; 0 when not resident.", "least(freq)"},
    NameDoc{"recency", "recency", "number", kExpert,
            "Accesses of the cache since the last use; infinite if never used.", "least(-recency)"},
    NameDoc{"age", "age", "number", kExpert, "Accesses since the load; 0 when not resident.", "least(-age)"},
    NameDoc{"uses", "uses", "number", kExpert, "Uses since the load; 0 when not resident.", "least(uses / (1 + age))"},
    NameDoc{"request_uses", "request_uses", "number", kExpertMissPrefetch,
            "Uses by the request in progress, resident or not.", "least(request_uses)"},
    NameDoc{"seen", "seen", "number", kExpertMissPrefetch,
            "Decayed accesses since the start, resident or not: a frequency that survives eviction.", "least(seen)"},
    NameDoc{"idle", "idle", "number", kExpertMissPrefetch,
            "Dispatches of the expert's layer since it was last used. Fairer than `recency` where one cache serves all "
            "layers.",
            "least(-idle)"},
    NameDoc{"value", "value", "ratio", kExpertMissPrefetch,
            "With `learn`: the estimated, discounted next use, 1 for now and 0 for never.", "least(value)"},
    NameDoc{"score", "score", "ratio", kExpert, "Moving average of the expert's router weight.", "least(score)"},
    NameDoc{"weight", "weight", "ratio", kExpertMiss, "Router weight in this dispatch; 0 if not selected.",
            "admit = when(weight > 0.1)"},
    NameDoc{"tokens", "tokens", "number", kExpertMissPrefetch,
            "Tokens of this dispatch that were routed to the expert.", "when tokens >= 8 -> load"},
    NameDoc{"layer", "layer", "number", kExpertMissPrefetch, "The expert's layer, from 0.", "when layer == 0 -> load"},
    NameDoc{"expert", "expert", "number", kExpertMissPrefetch, "The expert's id in its layer, from 0.",
            "least(expert)"},
    NameDoc{"distance", "distance", "number", kExpertMissPrefetch,
            "Layers until the expert's layer runs next: 0 for the next one, the number of layers - 1 for the one in "
            "progress.",
            "least(use_rate(32) - 0.08 * distance / num_layers)"},
    NameDoc{"size", "size", "size", kExpertMissPrefetch, "Bytes that the expert takes in this tier.",
            "least(value / size)"},
    NameDoc{"predicted", "predicted", "ratio", kExpertMissPrefetch,
            "The predictor's probability that the expert is needed within `lookahead` layers.",
            "when = predicted > 20%"},
    NameDoc{"load_ms", "load_ms", "time", kExpertMissPrefetch, "Estimated arrival of a load that is queued now.",
            "when load_ms < cpu_ms -> load"},
    NameDoc{"cpu_ms", "cpu_ms", "time", kExpertMissPrefetch, "Estimated host compute for the expert's `tokens`.",
            "when cpu_ms < load_ms -> cpu_load"},
    NameDoc{"position", "position", "number", kExpertMiss,
            "The expert's place among those of this dispatch, in order of first appearance, from 0.",
            "order = most(position)"},
    NameDoc{"resident", "resident", "number", kExpertMiss, "1 if the expert was there when the dispatch began, else 0.",
            "order = least(1 - resident)"},
    NameDoc{"foretold", "foretold", "ratio", kExpert,
            "What was last predicted about the expert since it was loaded; 0 if nothing was.", "least(foretold)"},
    NameDoc{"next_use", "next_use", "number", kExpert,
            "Accesses until the next use; in replay only, as it needs the future.", "least(-next_use)"},
    NameDoc{"hit_rate", "hit_rate", "ratio", kEverywhere, "Hits among the accesses of the monitor's window.",
            "when hit_rate < 0.4 for 200 dispatches { eviction = lfu }"},
    NameDoc{"miss_rate", "miss_rate", "ratio", kEverywhere, "Misses among the accesses of the monitor's window.",
            "when miss_rate > 0.5 { budget = 8 }"},
    NameDoc{"eviction_rate", "eviction_rate", "ratio", kEverywhere, "Evictions per access over the monitor's window.",
            "when eviction_rate > 0.3 { capacity = 32 }"},
    NameDoc{"prefetch_accuracy", "prefetch_accuracy", "ratio", kEverywhere,
            "Of the prefetched experts, those that were used before they left.",
            "when prefetch_accuracy < 20% { budget = 1 } revert"},
    NameDoc{"prefetch_coverage", "prefetch_coverage", "ratio", kEverywhere,
            "Accesses that hit only thanks to a prefetch.", "when prefetch_coverage < 5% { strategy = none }"},
    NameDoc{"stall_ms", "stall_ms", "time", kEverywhere,
            "Time the engine waited for transfers, a window's average per dispatch.",
            "when stall_ms > 5ms { mode = cpu_fallback } revert"},
    NameDoc{"queue_depth", "queue_depth", "number", kEverywhere, "Loads that are queued now.",
            "when = queue_depth < 4"},
    NameDoc{"link_gbps", "link_gbps", "number", kEverywhere, "Measured speed of the link, in GB/s.",
            "when link_gbps < 8 { mode = cpu_fallback }"},
    NameDoc{"tokens_per_s", "tokens_per_s", "number", kEverywhere, "Tokens per second over the monitor's window.",
            "choose a, b by tokens_per_s every 500 dispatches"},
    NameDoc{"memory_used", "memory_used", "size", kEverywhere, "Memory in use in the fast tier.",
            "when memory_used > 20GB { capacity = 8 }"},
    NameDoc{"memory_free", "memory_free", "size", kEverywhere, "Memory left in the fast tier.",
            "when memory_free < 1GB { trigger memory_pressure }"},
    NameDoc{"cache_fill", "cache_fill", "ratio", kEverywhere, "Residents as a share of the capacity.",
            "when cache_fill == 1 { budget = 2 }"},
    NameDoc{"kv_used", "kv_used", "size", kEverywhere, "Memory of the KV cache, as the engine tells it.",
            "when kv_used > 4GB { capacity = 16 }"},
    NameDoc{"entropy", "entropy", "number", kEverywhere,
            "Routing entropy of this layer in bits, over `entropy_window`; high when every expert is used alike.",
            "when entropy > 5 { eviction = lru }"},
    NameDoc{"phase", "phase", "`prefill` or `decode`", kEverywhere, "What the engine is doing.",
            "when phase == prefill { strategy = none } revert"},
    NameDoc{"batch", "batch", "number", kEverywhere, "Tokens in this dispatch.",
            "when batch > 32 { mode = gpu_only } revert"},
    NameDoc{"capacity", "capacity", "number", kEverywhere, "Slots of the cache.",
            "when capacity > 2 * top_k { budget = 4 }"},
    NameDoc{"num_experts", "num_experts", "number", kEverywhere, "Experts of a layer of the bound model.",
            "when batch * top_k > num_experts { strategy = none }"},
    NameDoc{"num_layers", "num_layers", "number", kEverywhere, "MoE layers of the bound model.",
            "least(value - 0.1 * distance / num_layers)"},
    NameDoc{"top_k", "top_k", "number", kEverywhere, "Experts that a token selects in each layer of the bound model.",
            "when batch * top_k > capacity { admit = never }"},
};

constexpr std::string_view kAnywhere = "every expression";

constexpr std::array kFunctions = {
    NameDoc{"min", "min(a, b)", "as its arguments", kAnywhere, "The smaller of two.", "min(top_k, 4)"},
    NameDoc{"max", "max(a, b)", "as its arguments", kAnywhere, "The larger of two.", "max(1, uses)"},
    NameDoc{"abs", "abs(a)", "as its argument", kAnywhere, "The value without its sign.", "abs(trend(hit_rate, 100))"},
    NameDoc{"exp", "exp(a)", "number", kAnywhere, "e to the power of a.", "exp(-idle / 32)"},
    NameDoc{"log", "log(a)", "number", kAnywhere, "Natural logarithm.", "log(1 + idle)"},
    NameDoc{"log2", "log2(a)", "number", kAnywhere, "Logarithm to base 2.", "log2(num_experts)"},
    NameDoc{"sqrt", "sqrt(a)", "number", kAnywhere, "Square root.", "sqrt(uses)"},
    NameDoc{"floor", "floor(a)", "number", kAnywhere, "The largest whole number that is not above a.",
            "floor(num_experts / 8)"},
    NameDoc{"table", "table(i, x0, x1, ...)", "as its entries", kAnywhere,
            "The entry at i: i loses its fraction and is kept within the list, which has at most 48 entries.",
            "table(layer, 0.5, 0.3, 0.2)"},
    NameDoc{"pow", "pow(a, b)", "number", kAnywhere, "a to the power of b.", "pow(0.65, distance / num_layers)"},
    NameDoc{"clamp", "clamp(a, low, high)", "as its arguments", kAnywhere, "a, but at least low and at most high.",
            "clamp(freq / 10, 0, 1)"},
    NameDoc{"sigmoid", "sigmoid(a)", "number", kAnywhere, "1 / (1 + exp(-a)).", "sigmoid(score - 0.5)"},
    NameDoc{"avg_over", "avg_over(metric, N)", "as the metric", kEverywhere,
            "Mean of a metric's last N samples, one a dispatch; N is at most 4096.",
            "when avg_over(hit_rate, 500) < 0.4 { budget = 1 }"},
    NameDoc{"max_over", "max_over(metric, N)", "as the metric", kEverywhere,
            "Largest of a metric's last N samples, one a dispatch; N is at most 4096.",
            "when max_over(stall_ms, 50) > 20ms { budget = 1 }"},
    NameDoc{"trend", "trend(metric, N)", "number", kEverywhere,
            "Least-squares slope of a metric's last N samples, per sample.",
            "when trend(hit_rate, 200) < -0.001 { eviction = lfu }"},
    NameDoc{
        "use_rate", "use_rate(N)", "ratio", kExpertMissPrefetch,
        "Share of the layer's dispatches that used the expert, a moving average with time constant N dispatches. It "
        "survives eviction; a policy may use at most 8 different N.",
        "least(use_rate(24) - 0.07 * log(1 + idle))"},
    NameDoc{"weight_rate", "weight_rate(N[, P])", "ratio", kExpertMissPrefetch,
            "As `use_rate`, of router weights: each use counts with its weight; with P only the P largest of a "
            "dispatch count.",
            "least(weight_rate(24))"},
    NameDoc{"victim", "victim(x)", "as x", "`admit`",
            "The variable x of the expert that would have to leave; 0 if a slot is free.",
            "when(predicted - victim(predicted) > 0.1)"},
};

}  // namespace

std::span<const NameDoc> variable_docs() { return kVariables; }
std::span<const NameDoc> function_docs() { return kFunctions; }

}  // namespace moe::frontend
