// SPDX-License-Identifier: Apache-2.0
// The boundary between a compiled policy and everything around it: plain C-layout structs that JIT code, a policy's
// shared library, the statically compiled kernels, the runtime and the replayer all share. A change of any of them
// changes kAbiVersion.
#pragma once
#include <cstddef>
#include <cstdint>

#include "runtime/decision/abi_changes.h"
#include "runtime/decision/abi_tiers.h"

namespace moe::decision {

inline constexpr uint32_t kAbiVersion = 5;
inline constexpr uint32_t kNone = 0xFFFFFFFFu;  ///< no place, no key
inline constexpr int32_t kPaddingId = 0xFFFF;   ///< "no expert" in traces
inline constexpr uint32_t kMaxExperts = 65534;

enum class Eviction : uint32_t {
  lru = 0,
  lfu = 1,
  score = 2,
  freq_threshold = 3,
  fifo = 4,
  sieve = 5,
  s3_fifo = 6,
  arc = 7,
  lirs = 8,
  w_tinylfu = 9,
  random = 10,
  least = 11,
  segmented = 12,  ///< a | b: Params::segments
};
enum class Strategy : uint32_t {
  none = 0,
  history = 1,
  lookahead = 2,
  gate = 3,
  affinity = 4,
  sequence = 5,
  learned = 6,
  trajectory = 7,
  most = 8,
};
enum class MissAction : uint32_t { load = 0, cpu = 1, cpu_load = 2, degrade = 3, shared = 4, skip = 5 };

enum Admit : uint32_t { kAdmitNever = 0, kAdmitAlways = 1, kAdmitWhen = 2 };
enum PrefetchAdmit : uint32_t { kPrefetchAlways = 0, kPrefetchNever = 1, kPrefetchWhen = 2 };

/// What else the state keeps, because some expression reads it: bits of Params::keeps.
enum Keeps : uint32_t {
  kKeepsFreq = 1,        ///< per place
  kKeepsLoadedAt = 2,    ///< per place
  kKeepsLastAccess = 4,  ///< per key, as are the following
  kKeepsSeen = 8,
  kKeepsIdle = 16,
  kKeepsRequestUses = 32,
  kCountsLoads = 64,        ///< of the dispatch in progress: load_ms grows with them
  kCountsRates = 128,       ///< hit_rate and its kin: counters of the monitor's window
  kCountsPrefetches = 256,  ///< likewise, which hits a prefetch made
  kKeepsMeasured = 512,     ///< stall_ms, link_gbps, tokens_per_s of the window
  kKeepsEntropy = 1024,     ///< what each layer used in its last entropy_window dispatches
  // Of predictors.
  kKeepsPredicted = 1 << 16,  ///< per key: the last predictions
  kKeepsForetold = 1 << 17,   ///< per place
  kKeepsValue = 1 << 18,      ///< per key: the learner's
  // Not of the state.
  kLeastVaries = 1 << 19,  ///< what least(E) reads changes with each load
};

/// What comes from a profile: bits of Params::profile.
enum FromProfile : uint32_t {
  kProfileShares = 1,   ///< affinity's; nothing is learned then
  kProfileWeights = 2,  ///< the learner starts with them
};

/// weight_rate(window, largest): only so many of a dispatch's weights count; 0: all.
struct WeightRate {
  uint32_t window;
  uint32_t largest;
};

/// Values of the cache as a whole that rules look back on: Params::remembered.
enum class Metric : uint32_t {
  hit_rate = 0,
  miss_rate,
  eviction_rate,
  prefetch_accuracy,
  prefetch_coverage,
  stall_ms,
  queue_depth,
  link_gbps,
  tokens_per_s,
  memory_used,
  memory_free,
  cache_fill,
  kv_used,
  entropy,
  phase,
  batch,
  capacity,
};

/// A metric whose last values are kept, one for each dispatch.
struct Remembered {
  uint32_t metric;  ///< Metric
  uint32_t window;  ///< how many, 1..4096
  uint32_t first;   ///< where they begin among the values of all
  uint32_t reserved;
};

/// The times of mode `balance` that the policy writes: bits of Params::balance_times.
enum BalanceTimes : uint32_t { kWritesGpuTime = 1, kWritesCpuTime = 2, kWritesCpuSetup = 4, kWritesLoadTime = 8 };

/// An arm of `on miss`: its condition is the site kFirstArm + its place.
struct Arm {
  uint32_t action;   ///< MissAction
  uint32_t applies;  ///< 1: without a condition
};

/// What a policy decided for one expert of a dispatch. The runtime turns a hit that is still under way into "late".
enum Action : uint8_t {
  kHit = 0,
  kLoad = 2,
  kStream = 3,
  kCpu = 4,
  kCpuLoad = 5,
  kDegrade = 6,  ///< a copy of lower precision is used now, and the full one loaded behind
  kShared = 7,   ///< the shared expert stands in
  kSkip = 8,     ///< left out
};

/// Whether an instance's capacity is what its state says: set when its rules are installed, or by per_layer.
enum CapacityVaries : uint32_t { kCapacityFixed = 0, kByRules = 1, kByLayer = 2 };

/// What the other variants of a policy need of the state that all of them share: what a variant has itself, or this,
/// whichever is more. All 0 where there is one variant.
struct Room {
  uint32_t capacity;        ///< most places of an instance
  uint32_t total_capacity;  ///< most residents; 0: capacity x instances
  uint32_t rules;           ///< bit 1 << Eviction for each rule
  uint32_t strategies;      ///< likewise of Strategy
  uint32_t history_window;
  uint32_t budget;
  uint64_t freq_window;
  uint32_t ttl;              ///< 1: some variant has one
  uint32_t capacity_varies;  ///< CapacityVaries
  uint32_t rules_differ;     ///< 1: instances may have other rules than that of the layer in progress
  uint32_t history_varies;   ///< 1: history_window does
  uint32_t balance;          ///< 1: some variant has mode balance
  uint32_t lookahead;        ///< the farthest
  uint32_t arrival;          ///< 1: some variant has one
  uint32_t side_buffer;      ///< likewise
};

/// What the learner knows of an expert itself.
inline constexpr uint32_t kNumDenseInputs = 10;

/// A policy's constants, bound to a model. The code generator emits one as a constant global, so that every field folds
/// into the kernel; the static kernels take one at run time. Ranges are those of ir/bind.h, already checked.
struct Params {
  uint32_t num_layers;
  uint32_t num_experts;
  uint32_t top_k;
  uint32_t scope_layer;  ///< 1: one cache instance per layer
  uint32_t eviction;     ///< Eviction
  uint32_t admit;        ///< Admit
  uint32_t capacity;     ///< places of one instance, >= 1
  uint32_t protect_selected;
  uint64_t decay_interval;
  uint64_t freq_window;
  uint64_t ttl;  ///< 0: none
  double frequency_decay;
  double score_ema_alpha;
  double freq_threshold;
  double memory_threshold;  ///< 0: none
  double memory_headroom;
  double memory_budget_gb;
  double expert_size_gb;
  double min_probability;
  double bandwidth;   ///< prefetch's share of the link; for the transfer engine
  uint32_t strategy;  ///< Strategy
  uint32_t budget;
  uint32_t lookahead;
  uint32_t history_window;
  uint32_t miss;          ///< MissAction
  uint32_t cancel_stale;  ///< for the transfer engine, as are the next two
  uint32_t overlap;
  uint32_t priority_routing;
  uint32_t monitor_window;  ///< for the metrics
  uint32_t log_interval;
  uint32_t num_pins;
  uint32_t num_preload;
  uint32_t keeps;           ///< Keeps
  uint32_t prefetch_admit;  ///< PrefetchAdmit
  uint32_t has_when;        ///< 1: prefetch's `when` is asked
  uint32_t top;             ///< candidates that count for each target layer; 0: all
  uint32_t has_order;
  uint32_t one_by_one;
  uint32_t hybrid;     ///< 1: with a cost model, the cheaper of load and host
  uint32_t max_loads;  ///< per dispatch, where limits_loads
  uint32_t loads_in_order;
  uint32_t num_arms;
  uint32_t num_rates;
  uint32_t limits_loads;
  double deadline_ms;       ///< 0: none
  uint64_t seed;            ///< of random
  const uint32_t* pins;     ///< [num_pins] keys, ascending
  const uint32_t* preload;  ///< [num_preload] keys, in order of loading
  const Arm* arms;          ///< [num_arms]
  const uint32_t* rates;    ///< [num_rates] time constants of use_rate
  // Predictors.
  uint32_t next_strategies;  ///< asked in turn where `strategy` names nobody: 4 bits each, the next lowest; 0: no more
  uint32_t store;            ///< requests of sequence, tokens of trajectory that are remembered
  double affinity_threshold;
  uint32_t num_weight_rates;
  uint32_t profile;       ///< FromProfile
  uint32_t learn_window;  ///< dispatches that the learner looks back on; 0: there is no learner
  uint32_t learn_freeze;
  double learn_rate;
  double learn_discount;
  const WeightRate* weight_rates;   ///< [num_weight_rates]
  const uint64_t* share_rows;       ///< [num_keys + 1] where a key's shares begin in the next two
  const uint32_t* share_followers;  ///< experts of the next layer, ascending for each key
  const double* shares;             ///< of the key's uses, those after which the follower ran
  const double* weights;            ///< [num_layers][num_learner_weights] as docs/semantics.md orders them
  // What all variants share, and what changes.
  uint32_t first_site;  ///< what is added to a Site: variants have expressions of their own
  uint32_t num_remembered;
  uint32_t num_remembered_values;  ///< their windows together
  uint32_t has_prefetch_evict;     ///< 1: prefetches replace whom that rule names
  uint32_t entropy_window;         ///< dispatches of a layer
  uint32_t variant;                ///< its place in Changes::variants
  uint32_t prefetch_evict;         ///< Eviction, where has_prefetch_evict
  uint32_t has_drop;
  uint32_t balance;            ///< 1: mode = balance
  uint32_t balance_times;      ///< BalanceTimes
  double expert_bytes;         ///< the model's, else what the policy says
  double memory_budget_bytes;  ///< of `memory`; 0: as much as the slots hold
  Room room;
  uint32_t arrival;          ///< dispatches of the layer until what `cpu_load` loads can be hit; 0: at once
  uint32_t side_buffer;      ///< 1: what is prefetched waits beside the cache
  uint32_t segments[2];      ///< Eviction of a and b, under Eviction::segmented
  uint32_t eviction_number;  ///< the same of two variants: they evict by the same rule, expressions included
  uint32_t num_tier_sets;
  uint32_t num_tiers;       ///< of all sets
  uint32_t num_tier_rules;  ///< most of a set
  uint32_t tier_evictions;  ///< bit 1 << Eviction for each that tiers below the first go by
  uint32_t num_steady;  ///< parts of least(E) that are kept by key, because only their layer's dispatches change them
  const TierSet* tier_sets;           ///< [num_tier_sets]
  const uint32_t* tier_set_of_layer;  ///< [num_layers] kNone: no tiers there
  const Remembered* remembered;       ///< [num_remembered]
  const Changes* changes;             ///< null: these constants hold always

  constexpr uint32_t num_keys() const { return num_layers * num_experts; }
  constexpr uint32_t num_instances() const { return scope_layer ? num_layers : 1; }
  /// Most residents at a time.
  constexpr uint32_t total_capacity() const {
    return room.total_capacity != 0 ? room.total_capacity : max_capacity() * num_instances();
  }
  /// Most places of one instance.
  constexpr uint32_t max_capacity() const { return capacity > room.capacity ? capacity : room.capacity; }
  constexpr uint32_t max_budget() const { return budget > room.budget ? budget : room.budget; }
  /// The learner's for one layer, of both its models.
  constexpr size_t num_learner_weights() const {
    return 2 * (size_t{learn_window} * num_experts * num_experts + size_t{num_experts} * kNumDenseInputs);
  }
};

/// What the engine expects one layer to need: highest probability first, ties as hinted (whoever takes the hint sorts
/// it).
struct Hint {
  const uint32_t* ids;
  const float* probabilities;
  uint32_t count;  ///< 0: no hint
  uint32_t reserved;
};

/// What routing does not determine. Times in ms.
struct Measured {
  uint32_t has_cost_model;  ///< 0: the next four are not known
  uint32_t reserved;
  double queue_wait_ms;  ///< until a load queued now would start
  double transfer_ms;    ///< one expert over the link
  double cpu_setup_ms;
  double cpu_token_ms;
  double stall_ms;  ///< what the metrics of the same names read, from here on
  double queue_depth;
  double link_gbps;
  double tokens_per_s;
  double kv_used;  ///< bytes
};

/// One dispatch. Borrowed for the call.
struct Input {
  uint32_t layer;
  uint32_t num_tokens;
  uint32_t top_k;           ///< equals Params::top_k
  uint32_t allow_padding;   ///< 1: kPaddingId is skipped, not invalid
  const int32_t* ids;       ///< [num_tokens][top_k]
  const float* weights;     ///< the same shape, or null: all 1
  const uint32_t* dropped;  ///< [num_dropped] keys that the mechanism dropped (semantics: step 0)
  uint32_t num_dropped;
  uint32_t phase;            ///< 0: prefill, 1: decode
  const Hint* hints;         ///< [num_layers], or null: no hints
  const Measured* measured;  ///< or null: nothing is known
  uint32_t request;          ///< of the first token
  uint32_t reserved;
  const float* probabilities;  ///< the router's, [num_tokens][num_experts], each in [0, 1]; null: not known
};

/// Where a dispatch writes its decision. The caller owns the arrays; OutputSizes says how long they must be.
struct Output {
  uint32_t num_entries;
  uint32_t num_evicted;
  uint32_t num_prefetched;
  uint32_t num_fired;
  uint32_t num_dropped;
  uint32_t num_moves;
  uint32_t num_copies;
  uint32_t reserved;
  uint32_t* expert;          ///< unique experts in order of first appearance
  uint8_t* action;           ///< Action
  uint32_t* num_selections;  ///< (token, k) pairs that chose the expert
  float* weight;             ///< the largest of its weights
  uint32_t* evicted;         ///< keys, in the order they left
  uint32_t* prefetched;      ///< keys, in order
  uint32_t* fired;           ///< rules of Changes, in order; may be null where there are none
  uint32_t* dropped;         ///< experts that `drop` left out, in order of first appearance; may be null without one
  TierMove* moves;           ///< between tiers below the first, in order; may be null without tiers
  CopyChoice* copies;        ///< likewise
};

struct OutputSizes {
  size_t entries;
  size_t evicted;
  size_t prefetched;
  size_t fired;
  size_t dropped;
  size_t moves;
  size_t copies;
};
/// `num_tokens`: the largest batch. `num_dropped`: at most this many keys are reported as dropped in one dispatch.
constexpr OutputSizes output_sizes(const Params& p, uint32_t num_tokens, uint32_t num_dropped) {
  const uint64_t selections = uint64_t{num_tokens} * p.top_k;
  const size_t entries = selections < p.num_experts ? static_cast<size_t>(selections) : p.num_experts;
  const size_t fired = p.changes == nullptr ? 0 : p.changes->num_rules;
  // Each rule of the tiers may promote every expert of the dispatch, for which another leaves, or demote it.
  const size_t promoted = p.num_tier_sets == 0 ? 0 : entries * p.num_tier_rules;
  const size_t evicted = size_t{p.total_capacity()} + entries + p.max_budget() + num_dropped + promoted;
  const size_t prefetched = p.max_budget() + promoted;
  if (p.num_tier_sets == 0) return {entries, evicted, prefetched, fired, entries, 0, 0};
  // What enters a tier may push out another; a load may pass through a host tier and leave where it came from.
  const size_t loads = entries + prefetched;
  return {entries,
          evicted,
          prefetched,
          fired,
          entries,
          4 * loads + 2 * evicted * p.num_tier_rules + 3 * promoted,
          2 * entries + loads};
}

enum Status : uint32_t { kOk = 0, kInvalid = 1 };

/// Decides one dispatch. `state` is a block of state_bytes(params) that init_state prepared (decision/state.h).
/// kInvalid: an id out of range, twice in one token, or a weight that is NaN, infinite or negative; nothing changed.
/// Allocates nothing, takes no lock, calls nothing. One thread at a time per state.
using DispatchFn = uint32_t (*)(void* state, const Input* input, Output* output);

/// What a compiled policy exports, as the data symbol `moe_policy_NAME`.
struct Descriptor {
  uint32_t struct_size;
  uint32_t abi_version;  ///< kAbiVersion of the compiler that made it
  const char* manifest;  ///< JSON, NUL-terminated: name, shape, capacity, eviction, exactness, ...
  const Params* params;
  DispatchFn dispatch;
};

/// The note that a policy's shared library carries, readable without mapping its code: owner "MoEPol", this type, and
/// the manifest's JSON as its text. The JSON has "abi", "cpu" (the LLVM CPU name it was made for) and "symbol".
inline constexpr char kNoteOwner[] = "MoEPol";
inline constexpr uint32_t kNoteType = 1;
inline constexpr char kNoteSection[] = ".note.moe.policy";

}  // namespace moe::decision
