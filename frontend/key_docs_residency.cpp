// SPDX-License-Identifier: Apache-2.0
// Keys that say what stays where: cache, per_layer, tiers, tier, memory.
#include <array>

#include "frontend/key_docs.h"

namespace moe::frontend {
namespace {

constexpr std::array kDocs = {
    KeyDoc{"cache", "capacity",
           "How many experts the fast tier holds. Shares and sizes become slots when the policy is bound to a model; "
           "`auto` takes what the given memory budget holds. Required, unless `tiers` stands in its place.",
           "experts, a share of all experts, a size, or `auto`", "at least 1; above 0%, at most 100%", "",
           "capacity = 25%", ""},
    KeyDoc{"cache", "scope",
           "One cache for all layers, or one for each; then `capacity` is each layer's. Recency rules want `layer`: a "
           "layer comes back only after all others.",
           "word", "", "global", "scope = layer", ""},
    KeyDoc{"cache", "eviction",
           "Who leaves when a place is needed. `a | b` makes two segments, 2/3 and 1/3 of the capacity, where b keeps "
           "what a evicts; `least(E)` evicts the candidate with the smallest E.",
           "word, `a | b`, or `least(E)`", "", "lru", "eviction = least(use_rate(24) - 0.05 * log(1 + idle))", ""},
    KeyDoc{"cache", "admit",
           "Which missed experts enter the cache. One that is not admitted passes through a streaming slot, or runs on "
           "the host, and displaces nobody.",
           "`always`, `never`, or `when(E)`", "", "always", "admit = when(value > victim(value))", ""},
    KeyDoc{"cache", "pin",
           "Experts that are loaded at the start and never leave. Plain ids mean every layer, `layer:expert` one; both "
           "sides take ranges. `hottest(N)`, `hottest(P%)` or `hottest(all)` takes the most used of a profile, `all` "
           "every expert.",
           "list of experts, `hottest(N)`, or `all`", "at most the capacity", "[]", "pin = [0, 3:0..7, *:5]", ""},
    KeyDoc{"cache", "preload",
           "Experts that are loaded at the start, in this order and as far as they fit, but may be evicted like any "
           "other. Use it "
           "to skip the cold start when the popular experts are known.",
           "list of experts, `hottest(N)`, or `all`", "", "[]", "preload = [0..7]", ""},
    KeyDoc{"cache", "frequency_decay",
           "Every `decay_interval` accesses all frequencies are multiplied by this. Smaller forgets faster; `lfu`, "
           "`affinity`, `freq` and `seen` read it.",
           "number", "above 0, at most 1", "0.95", "frequency_decay = 0.9", "lfu_decay"},
    KeyDoc{"cache", "decay_interval", "How many accesses pass between two decays of the frequencies.", "accesses",
           "at least 1", "100", "decay_interval = 500", ""},
    KeyDoc{"cache", "score_ema_alpha",
           "The weight of the newest router weight in `score`. Larger follows the last tokens, smaller the long run.",
           "number", "above 0, at most 1", "0.3", "score_ema_alpha = 0.5", ""},
    KeyDoc{"cache", "freq_threshold",
           "An expert stays while its share of the last `freq_window` accesses is at least this; `eviction = "
           "freq_threshold` reads it.",
           "share", "0 to 1", "0.05", "freq_threshold = 2%", ""},
    KeyDoc{"cache", "freq_window", "The accesses over which `freq_threshold` takes shares.", "accesses",
           "1 to 1,048,576", "100", "freq_window = 400", ""},
    KeyDoc{"cache", "ttl",
           "What was not used for this many accesses of its cache leaves, even when nobody needs its place. Use it "
           "to give memory back in quiet times.",
           "accesses", "at least 1", "none", "ttl = 10_000", ""},
    KeyDoc{"cache", "memory_threshold",
           "When the residents take this share of `memory_budget_gb` or more, experts leave until they take "
           "`memory_headroom`.",
           "share", "above 0, at most 1", "none", "memory_threshold = 90%", ""},
    KeyDoc{"cache", "memory_headroom", "How far memory pressure empties the cache, as a share of the budget.", "share",
           "above 0, at most `memory_threshold`", "0.7, at most 0.9 × `memory_threshold`",
           "memory_threshold = 90%  memory_headroom = 70%", ""},
    KeyDoc{"cache", "memory_budget_gb", "The memory that `memory_threshold` and `memory_headroom` are shares of.",
           "size; a bare number is 10^9 bytes", "above 0", "16", "memory_threshold = 90%  memory_budget_gb = 24", ""},
    KeyDoc{"cache", "expert_size_gb",
           "The size of one expert where no model says it. With a bound model the real size wins.",
           "size; a bare number is 10^9 bytes", "above 0", "1.2, or the model's", "expert_size_gb = 352MB", ""},
    KeyDoc{"cache", "protect_selected",
           "Experts of the dispatch in progress are no victims while another victim exists. Turn it off only to "
           "reproduce systems that evict access by access.",
           "`true` or `false`", "", "true", "protect_selected = false", ""},
    KeyDoc{"cache", "one_by_one",
           "Decide access by access instead of dispatch by dispatch, with `protect_selected` or without, as systems do "
           "that "
           "fetch one expert after the other.",
           "`true` or `false`", "", "false", "one_by_one = true", ""},

    KeyDoc{"per_layer", "allocation", "By what signal the slots are divided among the layers.", "word", "", "entropy",
           "allocation = utility", ""},
    KeyDoc{
        "per_layer", "capacities",
        "The slots of each layer, first layer first, written out: for a division that was computed offline. The last "
        "repeats for the layers that are left.",
        "list of experts", "each at least 1", "", "capacities = [8, 12, 16, 12]", ""},
    KeyDoc{"per_layer", "total_budget", "The slots of all layers together.", "experts", "at least 1",
           "layers × `cache.capacity`", "total_budget = 432", ""},
    KeyDoc{"per_layer", "min_capacity", "No layer gets fewer slots than this.", "experts", "at least 1", "2",
           "min_capacity = 4", ""},
    KeyDoc{"per_layer", "max_capacity", "No layer gets more slots than this.", "experts", "at least `min_capacity`",
           "64", "max_capacity = 32", ""},
    KeyDoc{"per_layer", "rebalance_interval",
           "After this many dispatches the slots are divided anew; 0 divides them once.", "dispatches", "at least 0",
           "500", "rebalance_interval = 2000", ""},
    KeyDoc{"per_layer", "entropy_window", "The dispatches of a layer over which its routing entropy is taken.",
           "dispatches", "1 to 4096", "200", "entropy_window = 500", ""},

    KeyDoc{"tiers", "inclusive",
           "Whether a tier keeps its copy of an expert that moved to a faster one. `false` saves memory and makes "
           "evictions move data.",
           "`true` or `false`", "", "true", "inclusive = false", ""},
    KeyDoc{"tiers", "eviction", "Who leaves a tier below the first when it is full.", "word, `a | b`, or `least(E)`",
           "", "the cache's rule", "eviction = lru", ""},
    KeyDoc{"tiers", "direct", "Reads from disk go straight to the device instead of through host memory.",
           "`true` or `false`", "", "false", "direct = true", ""},
    KeyDoc{"tiers", "precision",
           "In which precision an expert is kept, by the value of an expression: the first rung whose threshold it "
           "reaches.",
           "`by (E) [ dtype >= X, ..., dtype ]`", "thresholds fall from rung to rung", "",
           "precision = by (score) [bf16 >= 0.5, int8 >= 0.1, int4]", ""},
    KeyDoc{"tier", "location", "Which memory the tier is.", "word", "", "", "location = host", ""},
    KeyDoc{"tier", "dtype", "The precision in which the tier keeps weights.", "word", "", "as_stored", "dtype = int4",
           ""},
    KeyDoc{"tier", "capacity", "How much the tier holds.", "experts, a share of all experts, a size, or `auto`",
           "at least 1; above 0%, at most 100%", "", "capacity = 64GB", ""},
    KeyDoc{"tier", "pinned", "Page-locked host memory, which copies to a device at full speed.", "`true` or `false`",
           "", "true for host", "pinned = false", ""},
    KeyDoc{"tier", "group_size", "How many weights share one scale in the integer precisions.", "weights", "at least 1",
           "128", "group_size = 64", ""},
    KeyDoc{"tier", "path", "The file or folder of a tier on disk.", "string", "", "", "path = \"experts.bin\"", ""},

    KeyDoc{"memory", "budget", "The memory that experts and the KV cache share.", "size", "above 0", "",
           "budget = 24GB", ""},
    KeyDoc{"memory", "kv_reserve", "The part of the budget that is kept for the KV cache.", "size", "at least 0", "",
           "kv_reserve = 4GB", ""},
    KeyDoc{"memory", "warn", "From this share of the budget on the actions of `on warn { ... }` hold.", "share",
           "above 0, below `shed`", "80%", "warn = 75%", ""},
    KeyDoc{"memory", "shed", "From this share of the budget on the actions of `on shed { ... }` hold.", "share",
           "above 0, at most 1", "92%", "shed = 90%", ""},
};

}  // namespace

std::span<const KeyDoc> residency_key_docs() { return kDocs; }

}  // namespace moe::frontend
