// SPDX-License-Identifier: Apache-2.0
// Keys that say what moves when, and what is measured: prefetch, learn, schedule, monitor.
#include <array>

#include "frontend/key_docs.h"

namespace moe::frontend {
namespace {

constexpr std::array kDocs = {
    KeyDoc{"prefetch", "strategy",
           "Who names the experts to fetch ahead. A chain `gate | affinity` asks the next when the one before has "
           "nothing to say.",
           "word, `most(E)`, or a chain `a | b`", "", "none", "strategy = gate | affinity", "prefetch_strategy"},
    KeyDoc{"prefetch", "budget",
           "How many experts one dispatch may fetch ahead. More hide more loads and cost more traffic.", "experts",
           "at least 1, at most what the cache holds", "4", "budget = 2", "prefetch_budget"},
    KeyDoc{"prefetch", "lookahead",
           "How many layers ahead to look; past the last layer comes the first of the next token. `all` looks at "
           "every layer.",
           "layers, or `all`", "1 to 4096", "1", "lookahead = 2", ""},
    KeyDoc{"prefetch", "history_window", "The dispatches of a layer that `history` and `lookahead` count over.",
           "dispatches", "1 to 4096", "50", "history_window = 200", ""},
    KeyDoc{"prefetch", "affinity_threshold", "`affinity` names experts of at least this probability.", "probability",
           "0 to 1", "0.3", "affinity_threshold = 20%", ""},
    KeyDoc{"prefetch", "min_probability",
           "Candidates that are less likely than this are not fetched. Raise it when prefetches go unused.",
           "probability", "0 to 1", "0", "min_probability = 5%", ""},
    KeyDoc{"prefetch", "store",
           "How many past requests `sequence`, or past tokens `trajectory`, keeps and compares with.",
           "requests or tokens", "1 to 4096", "64", "store = 256", ""},
    KeyDoc{"prefetch", "top",
           "Of each target layer's list only so many are candidates, the most likely first. Unlike `budget` it counts "
           "those "
           "that are resident already.",
           "experts", "at least 1", "none", "strategy = gate  top = 6", ""},
    KeyDoc{"prefetch", "side_buffer",
           "What is fetched waits beside the cache and evicts nobody. What its layer then uses takes a place as a load "
           "does; the "
           "rest is dropped.",
           "`true` or `false`", "", "false", "strategy = gate  side_buffer = true", ""},
    KeyDoc{"prefetch", "profile",
           "A file from `moec profile` with affinity, frequencies and predictor weights, to start from instead of "
           "from nothing.",
           "string", "", "", "profile = \"mixtral.profile\"", ""},
    KeyDoc{"prefetch", "bandwidth",
           "The share of the link that prefetches may use. Demand loads always go first, whatever it is.", "share",
           "above 0, at most 100%", "100%", "bandwidth = 60%", ""},
    KeyDoc{"prefetch", "when", "A candidate is fetched only while this holds.", "condition", "", "true",
           "when = queue_depth < 4", ""},
    KeyDoc{"prefetch", "admit",
           "Fetch a candidate only if this holds for it. `victim(x)` is the same measure of the expert that would "
           "leave for it.",
           "`always` or `when(E)`", "", "always", "admit = when(predicted - victim(predicted) > 0.1)", ""},
    KeyDoc{"prefetch", "evict", "Whom a prefetch may replace.", "word, or `least(E)`", "",
           "cache, as its own rule says", "evict = least(predicted + 0.5 * value)", ""},
    KeyDoc{"prefetch", "cancel_stale",
           "A queued prefetch whose layer has passed is dropped. Off, it is still loaded, and decisions do not depend "
           "on the speed of the link.",
           "`true` or `false`", "", "true", "cancel_stale = false", ""},

    KeyDoc{"learn", "window", "How many past dispatches, of any layer, the predictor sees.", "dispatches", "1 to 4096",
           "24", "window = 16", ""},
    KeyDoc{"learn", "discount",
           "How much a use one dispatch later is worth less, in `value`. Nearer to 1 looks further ahead.", "number",
           "above 0, at most 1", "0.8", "discount = 0.7", ""},
    KeyDoc{"learn", "rate", "The learning rate. 0.01 suits cold starts; less suits a good profile.", "number",
           "above 0, at most 1", "0.01", "rate = 0.003", ""},
    KeyDoc{"learn", "profile", "Weights that `moec profile` fitted, to start from.", "string", "", "",
           "profile = \"mixtral.profile\"", ""},
    KeyDoc{"learn", "freeze", "Predict and do not learn.", "`true` or `false`", "", "false", "freeze = true", ""},

    KeyDoc{"schedule", "mode", "What a miss does. `on miss { ... }` replaces it where one word is not enough.", "word",
           "", "gpu_only", "mode = hybrid", "schedule_mode"},
    KeyDoc{"schedule", "offload_threshold_ms",
           "Where no cost model is bound, `hybrid` computes on the host what would take longer than this to load.",
           "time; a bare number is milliseconds", "above 0", "50", "mode = hybrid  offload_threshold_ms = 20ms", ""},
    KeyDoc{"schedule", "overlap", "Transfers run while the device computes. `hybrid` needs it.", "`true` or `false`",
           "", "true", "overlap = false", ""},
    KeyDoc{"schedule", "priority_routing",
           "Demand loads are ordered by router weight, so that what matters most arrives first.", "`true` or `false`",
           "", "false", "priority_routing = true", ""},
    KeyDoc{"schedule", "deadline",
           "A load that would take longer than this goes on to the next arm of `on miss`, or to the CPU.",
           "time; a bare number is milliseconds", "above 0", "none", "deadline = 2ms", ""},
    KeyDoc{"schedule", "max_loads",
           "Misses of one dispatch beyond this many, least router weight first, go on to the next arm likewise.",
           "loads per dispatch", "at least 0", "none", "max_loads = 2", ""},
    KeyDoc{"schedule", "loads_in_order",
           "`max_loads` keeps the first misses of the dispatch instead of those with the largest router weight.",
           "`true` or `false`", "", "false", "loads_in_order = true", ""},
    KeyDoc{"schedule", "arrival",
           "A load behind (`cpu_load`) can be hit after this many dispatches of its layer, whatever the link does; "
           "until then the "
           "expert is computed on the host. It makes decisions independent of the speed of the link.",
           "dispatches of the layer", "at least 0", "0", "arrival = 2", ""},
    KeyDoc{
        "schedule", "order",
        "The experts of a dispatch are handled by rising value of `least(E)` or by falling value of `most(E)`, ties as "
        "they appear. `auto` takes them as they appear.",
        "`least(E)`, `most(E)` or `auto`", "", "auto", "order = most(weight)", ""},
    KeyDoc{"schedule", "drop",
           "Selections for which this holds are left out altogether, resident or not. It changes the model's output "
           "and needs `approximate = true`.",
           "`when(E)` or `never`", "", "never", "approximate = true  drop = when(weight < 0.05)", ""},
    KeyDoc{"schedule", "gpu_time", "Under `mode = balance`: the estimated time of one expert on the device.",
           "expression, a time", "", "auto, which is 0", "gpu_time = 0.1ms", ""},
    KeyDoc{"schedule", "cpu_time", "Under `mode = balance`: the estimated time of one expert on the host.",
           "expression, a time", "", "auto, which is `cpu_ms`", "cpu_time = 0.4ms * tokens", ""},
    KeyDoc{"schedule", "cpu_setup", "Under `mode = balance`: what the first expert on the host costs on top.",
           "expression, a time", "", "auto, which is 0", "cpu_setup = 0.2ms", ""},
    KeyDoc{"schedule", "load_time", "Under `mode = balance`: the estimated time of one transfer.", "expression, a time",
           "", "auto, which is `load_ms`", "load_time = 2ms", ""},
    KeyDoc{"schedule", "approximate",
           "Consent to actions that change the model's output: `degrade`, `shared`, `skip` and `drop`.",
           "`true` or `false`", "", "false", "approximate = true", ""},

    KeyDoc{"monitor", "metrics", "What is measured and logged.", "list of metrics", "", "[hit_rate]",
           "metrics = [hit_rate, stall_ms]", ""},
    KeyDoc{"monitor", "window", "The dispatches over which metrics are taken.", "dispatches", "1 to 4096", "100",
           "window = 500", ""},
    KeyDoc{"monitor", "log_interval", "After how many dispatches a line is logged.", "dispatches", "at least 1", "50",
           "log_interval = 1000", ""},
};

}  // namespace

std::span<const KeyDoc> movement_key_docs() { return kDocs; }

}  // namespace moe::frontend
