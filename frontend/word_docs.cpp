// SPDX-License-Identifier: Apache-2.0
// Words that keys take as values, and the actions of rules.
#include <array>

#include "frontend/key_docs.h"

namespace moe::frontend {
namespace {

constexpr std::string_view kEviction = "eviction evict";
constexpr std::string_view kDtype = "dtype precision";

constexpr std::array kDocs = {
    WordDoc{"scope", "global", "One cache holds the experts of all layers."},
    WordDoc{"scope", "layer", "Each layer has its own cache, and `capacity` is each one's."},

    WordDoc{kEviction, "lru", "The least recently used expert leaves."},
    WordDoc{kEviction, "lfu",
            "The least frequently used expert leaves; frequencies decay and begin anew with each load."},
    WordDoc{kEviction, "score", "The expert with the smallest moving average of router weights leaves."},
    WordDoc{kEviction, "freq_threshold",
            "Experts whose share of the recent accesses is below `freq_threshold` leave, and only those that reach it "
            "come in."},
    WordDoc{kEviction, "frequency_threshold", "Another word for `freq_threshold`."},
    WordDoc{kEviction, "fifo", "The expert that was loaded first leaves, however often it is used."},
    WordDoc{kEviction, "sieve",
            "A hand moves over the experts in order of load and evicts the first that was not used since it last came "
            "by (Zhang et al., NSDI 2024)."},
    WordDoc{kEviction, "s3_fifo",
            "Three queues: newcomers prove themselves in a small one before they enter the main one, and a ghost queue "
            "remembers who left too early (Yang et al., SOSP 2023)."},
    WordDoc{
        kEviction, "arc",
        "Balances recency and frequency by itself, by what its two ghost lists hit (Megiddo and Modha, FAST 2003)."},
    WordDoc{kEviction, "lirs",
            "Keeps the experts with the shortest time between two uses (Jiang and Zhang, SIGMETRICS 2002)."},
    WordDoc{kEviction, "w_tinylfu",
            "A small recency window in front of a main part that lets a newcomer in only if it is used more often than "
            "the victim (Einziger et al., ACM TOS 2017)."},
    WordDoc{kEviction, "random", "Any expert leaves, chosen by a generator that `--seed` seeds."},
    WordDoc{kEviction, "belady",
            "The expert whose next use is farthest away leaves: the optimum, for replay only, as it needs the future."},
    WordDoc{kEviction, "fallback", "Short for `lfu | lru`."},
    WordDoc{kEviction, "least", "`least(E)`: the candidate for which E is smallest leaves."},

    WordDoc{"admit", "always", "Every candidate is admitted."},
    WordDoc{"admit", "never", "No miss enters the cache: only pins, preloads and prefetches are resident."},
    WordDoc{"admit drop", "when", "`when(E)`: where E holds."},

    WordDoc{"pin preload", "hottest",
            "`hottest(N)`, `hottest(P%)` or `hottest(all)`: the most used experts by the profile; `all` is as many as "
            "the cache "
            "holds."},
    WordDoc{"capacity", "auto", "What the memory budget given when the policy is bound holds."},
    WordDoc{"pin preload lookahead hottest", "all", "Every one there is: experts, or layers ahead."},

    WordDoc{"ttl memory_threshold top deadline max_loads", "none", "No such limit."},
    WordDoc{"drop", "never", "No selection is left out."},
    WordDoc{"order", "auto", "The experts of a dispatch are handled as they appear."},
    WordDoc{"gpu_time cpu_time cpu_setup load_time", "auto",
            "As the cost model says; 0 for `gpu_time` and `cpu_setup`."},
    WordDoc{"evict", "cache", "As the cache's own rule says."},

    WordDoc{"strategy", "none", "Nothing is fetched ahead."},
    WordDoc{"strategy", "history", "The experts used most in the target layer's last `history_window` dispatches."},
    WordDoc{
        "strategy", "affinity",
        "The experts that most often follow the ones selected now, by counts learned on the way or from a profile."},
    WordDoc{"strategy", "lookahead", "As `history`, for each of the next `lookahead` layers in turn, nearest first."},
    WordDoc{"strategy", "gate",
            "What the engine hints, usually the next layer's router applied to this layer's hidden state."},
    WordDoc{
        "strategy", "sequence",
        "The past request whose activation counts are most like this one's tells what comes next, as in MoE-Infinity."},
    WordDoc{
        "strategy", "trajectory",
        "The past token whose path through the layers is most like this one's tells what comes next, as in FineMoE's "
        "search of expert maps."},
    WordDoc{
        "strategy", "most",
        "`most(E)`: the experts of the next `lookahead` layers for which E is above 0, layer by layer, largest first."},
    WordDoc{"order", "least", "`least(E)`: experts are handled by rising value of E."},
    WordDoc{"order", "most", "`most(E)`: experts are handled by falling value of E."},
    WordDoc{"strategy", "learned", "The online predictor that the block `learn` describes."},

    WordDoc{"mode", "gpu_only", "Every miss is loaded and computed on the device."},
    WordDoc{"mode", "cpu_fallback", "A miss is computed on the host now and loaded behind."},
    WordDoc{"mode", "hybrid", "Each miss takes the cheaper of a transfer and host compute, by the cost model."},
    WordDoc{"mode", "balance",
            "The experts of a dispatch, residents too, are shared between the device and the host, each to whichever "
            "would finish it first, as in HybriMoE."},

    WordDoc{"miss", "load", "Copy the expert to the device and wait for it."},
    WordDoc{"miss", "cpu", "Compute the expert on the host; the cache does not change."},
    WordDoc{"miss", "cpu_load", "Compute the expert on the host now, and load it behind for the next time."},
    WordDoc{"miss", "degrade",
            "Use a resident copy of lower precision now, and load the full one behind; it changes the output."},
    WordDoc{"miss", "shared", "Let the shared expert stand in; it changes the output."},
    WordDoc{"miss", "skip", "Leave the expert out; it changes the output."},

    WordDoc{"allocation rebalance", "uniform", "Every layer gets the same number of slots."},
    WordDoc{"allocation rebalance", "entropy", "Layers whose routing is more spread out get more slots."},
    WordDoc{"allocation rebalance", "utility",
            "The next slot goes to the layer whose recent victims came back most: what one more slot would have hit."},

    WordDoc{"location", "gpu", "The device's own memory."},
    WordDoc{"location", "host", "The host's memory."},
    WordDoc{"location", "disk", "A file, read when the expert is needed."},
    WordDoc{kDtype, "as_stored", "As the checkpoint has the weights."},
    WordDoc{kDtype, "f32", "IEEE single precision, 4 bytes a weight."},
    WordDoc{kDtype, "bf16", "bfloat16, 2 bytes a weight."},
    WordDoc{kDtype, "f16", "IEEE half precision, 2 bytes a weight."},
    WordDoc{kDtype, "f8_e4m3", "8-bit floating point with 4 bits of exponent, 1 byte a weight."},
    WordDoc{kDtype, "int8", "8-bit integers with one scale for each group, 1 byte a weight."},
    WordDoc{kDtype, "int4", "4-bit integers with one scale for each group, half a byte a weight."},
    WordDoc{kDtype, "int2", "2-bit integers with one scale for each group, a quarter of a byte a weight."},

    WordDoc{"phase", "prefill", "While the prompt is read: large batches that touch most experts."},
    WordDoc{"phase", "decode", "While tokens are generated, one after the other."},

    WordDoc{"on", "miss", "`on miss { ... }` in `schedule`: what a miss does, arm by arm."},
    WordDoc{"on", "evict", "When an expert is evicted from the tier that the move names first."},
    WordDoc{"on", "warn", "When the memory in use reaches `warn`."},
    WordDoc{"on", "shed", "When the memory in use reaches `shed`."},
    WordDoc{"trigger", "memory_pressure", "Evict down to `memory_headroom` now, as if the threshold were reached."},

    WordDoc{"for every", "accesses", "One unique expert of one dispatch is one access."},
    WordDoc{"for every", "dispatches", "One layer's routing for one batch is one dispatch."},
    WordDoc{"for every", "tokens", "A token ends with its last layer."},
};

}  // namespace

std::span<const WordDoc> word_docs() { return kDocs; }

}  // namespace moe::frontend
