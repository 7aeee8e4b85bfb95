// SPDX-License-Identifier: Apache-2.0
// PolicyIR: what a policy says, checked, with every default filled in and every value's place in the source kept.
// Immutable value types: the frontend builds one, everything else reads it. Numbers that need a model (capacity in per
// cent or bytes, pins of "every layer") stay as written until ir/bind.h binds them to a shape.
//
// Equality of all types ignores spans: two policies are equal when they say the same. One file, because it is read from
// top to bottom beside docs/language.md.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ir/expr.h"
#include "ir/source.h"

namespace moe::ir {

enum class Eviction : uint8_t {
  lru,
  lfu,
  score,
  freq_threshold,
  fifo,
  sieve,
  s3_fifo,
  arc,
  lirs,
  w_tinylfu,
  random,
  belady,
  least,      ///< least(E)
  segmented,  ///< a | b
};
enum class Scope : uint8_t { global, layer };
enum class Admit : uint8_t { always, never, when };
enum class Strategy : uint8_t { none, history, lookahead, gate, affinity, sequence, learned, trajectory, most };
enum class ScheduleMode : uint8_t { gpu_only, cpu_fallback, hybrid, balance };
/// What a miss does. `load`, `cpu` and `cpu_load` keep the model's output; the others change it.
enum class MissAction : uint8_t { load, cpu, cpu_load, degrade, shared, skip };
enum class Allocation : uint8_t { entropy, uniform, utility };
enum class Location : uint8_t { gpu, host, disk };
enum class Dtype : uint8_t { as_stored, f32, bf16, f16, f8_e4m3, int8, int4, int2 };
inline constexpr size_t kNumDtypes = 8;

/// The word of the language for a value, as it is written in a policy. `least` and `segmented` have none of their own.
std::string_view to_word(Eviction);
std::string_view to_word(Scope);
std::string_view to_word(Admit);
std::string_view to_word(Strategy);
std::string_view to_word(ScheduleMode);
std::string_view to_word(MissAction);
std::string_view to_word(Allocation);
std::string_view to_word(Location);
std::string_view to_word(Dtype);

// ---- values
// ----------------------------------------------------------------------------------------------------------

/// How large the fast tier is. Becomes slots when bound.
struct Capacity {
  enum class Kind : uint8_t { slots, ratio, bytes, automatic };
  Kind kind = Kind::slots;
  uint64_t amount = 0;  ///< slots or bytes
  double ratio = 0;     ///< of all experts, in (0, 1]
  friend bool operator==(const Capacity&, const Capacity&) = default;
};

/// Who leaves.
struct EvictionRule {
  Eviction kind = Eviction::lru;
  Expr value;                          ///< of `least`: a number
  std::vector<EvictionRule> segments;  ///< of `segmented`: two, none of them segmented

  EvictionRule() = default;
  EvictionRule(Eviction k) : kind(k) {}  // NOLINT: a word is a rule
  friend bool operator==(const EvictionRule&, const EvictionRule&) = default;
  friend bool operator==(const EvictionRule& a, Eviction b) { return a.kind == b; }
};

struct AdmitRule {
  Admit kind = Admit::always;
  Expr condition;  ///< of `when`

  AdmitRule() = default;
  AdmitRule(Admit k) : kind(k) {}  // NOLINT
  friend bool operator==(const AdmitRule&, const AdmitRule&) = default;
  friend bool operator==(const AdmitRule& a, Admit b) { return a.kind == b; }
};

/// One strategy, or several: the next is asked when one has nothing to say.
struct StrategyChain {
  std::vector<Strategy> links{Strategy::none};  ///< at least one; `none` stands alone, `most` stands once
  Expr value;                                   ///< of most(E)

  StrategyChain() = default;
  StrategyChain(Strategy only) : links{only} {}  // NOLINT
  bool is_none() const { return links.front() == Strategy::none; }
  bool has(Strategy s) const;
  friend bool operator==(const StrategyChain&, const StrategyChain&) = default;
  friend bool operator==(const StrategyChain& a, Strategy b) { return a.links.size() == 1 && a.links[0] == b; }
};

/// Experts that are pinned or loaded at start.
struct Pin {
  struct Range {
    uint32_t first = 0;
    uint32_t last = 0;
    friend bool operator==(const Range&, const Range&) = default;
  };
  enum class Kind : uint8_t {
    experts,  ///< inclusive ranges; no layer range: in every layer
    all,      ///< every expert
    hottest,  ///< the most used of the bound profile
  };
  Kind kind = Kind::experts;
  std::optional<Range> layers;
  Range experts;
  Capacity hottest;  ///< slots: so many; ratio: that share of all experts; automatic: as many as the cache holds
  friend bool operator==(const Pin&, const Pin&) = default;
};

/// when E -> action; without a condition: else -> action
struct Arm {
  Expr condition;  ///< empty: else
  MissAction action = MissAction::load;
  SourceSpan span;
  friend bool operator==(const Arm& a, const Arm& b) { return a.condition == b.condition && a.action == b.action; }
};

// ---- the three blocks that phases, bands and rules may change
// --------------------------------------------------------

/// What stays resident (`cache { ... }`).
struct CacheRule {
  Sourced<Capacity> capacity;
  Sourced<Scope> scope{Scope::global};
  Sourced<EvictionRule> eviction;
  Sourced<AdmitRule> admit;
  std::vector<Sourced<Pin>> pins;
  std::vector<Sourced<Pin>> preload;                ///< loaded at start, in this order, as far as they fit
  Sourced<double> frequency_decay{0.95};            ///< (0, 1]
  Sourced<uint64_t> decay_interval{100};            ///< accesses, >= 1
  Sourced<double> score_ema_alpha{0.3};             ///< (0, 1]
  Sourced<double> freq_threshold{0.05};             ///< [0, 1]
  Sourced<uint64_t> freq_window{100};               ///< accesses, 1..2^20
  std::optional<Sourced<uint64_t>> ttl;             ///< accesses, >= 1
  std::optional<Sourced<double>> memory_threshold;  ///< (0, 1]; nullopt: no memory pressure rule
  Sourced<double> memory_headroom{0.7};             ///< (0, threshold]; the default is capped at 0.9 x threshold
  Sourced<double> memory_budget_gb{16.0};           ///< > 0
  Sourced<double> expert_size_gb{1.2};              ///< > 0; the model's own size wins when it is bound
  Sourced<bool> protect_selected{true};
  Sourced<bool> one_by_one{false};  ///< decide access by access, protected or not
  friend bool operator==(const CacheRule&, const CacheRule&) = default;
};

/// `lookahead = all`
inline constexpr uint32_t kAllLayers = 0xFFFFFFFF;

/// What is fetched before it is asked for (`prefetch { ... }`).
struct PrefetchRule {
  Sourced<StrategyChain> strategy;
  Sourced<uint32_t> budget{4};              ///< experts per dispatch, >= 1
  Sourced<uint32_t> lookahead{1};           ///< layers, >= 1; kAllLayers: to the last layer
  Sourced<uint32_t> history_window{50};     ///< dispatches of a layer, 1..4096
  Sourced<double> affinity_threshold{0.3};  ///< [0, 1]
  Sourced<double> min_probability{0.0};     ///< [0, 1]
  Sourced<double> bandwidth{1.0};           ///< share of the link, (0, 1]
  Sourced<bool> cancel_stale{true};
  Sourced<uint32_t> store{64};                 ///< past requests or tokens that sequence and trajectory keep, 1..4096
  std::optional<Sourced<uint32_t>> top;        ///< of each target layer's list only so many are candidates, >= 1
  Sourced<bool> side_buffer{false};            ///< what is fetched evicts nobody before it is used
  Sourced<std::string> profile;                ///< a .moeprof; empty: none
  Sourced<Expr> when;                          ///< a condition; empty: always
  Sourced<AdmitRule> admit;                    ///< always or when
  std::optional<Sourced<EvictionRule>> evict;  ///< nullopt: the cache's; never segmented
  friend bool operator==(const PrefetchRule&, const PrefetchRule&) = default;
};

/// What a miss does (`schedule { ... }`).
struct ScheduleRule {
  Sourced<ScheduleMode> mode{ScheduleMode::gpu_only};
  Sourced<double> offload_threshold_ms{50.0};  ///< > 0
  Sourced<bool> overlap{true};
  Sourced<bool> priority_routing{false};
  Sourced<std::vector<Arm>> on_miss;           ///< replaces `mode`; empty: not written. The last arm is `else`
  std::optional<Sourced<double>> deadline;     ///< ms, > 0
  std::optional<Sourced<uint32_t>> max_loads;  ///< per dispatch
  Sourced<bool> loads_in_order{false};         ///< max_loads keeps the first, not the heaviest
  Sourced<uint32_t> arrival{0};                ///< of cpu_load: dispatches of the layer until it can be hit
  Sourced<Expr> order;                         ///< the dispatch's experts by rising value; empty: as they appear
  Sourced<bool> approximate{false};            ///< consent to actions that change the output
  Sourced<Expr> drop;                          ///< a selected expert for which it holds is left out; empty: none is
  Sourced<Expr> gpu_time;                      ///< of mode `balance`, ms; empty: the cost model's
  Sourced<Expr> cpu_time;
  Sourced<Expr> cpu_setup;  ///< once, of the first expert on the CPU
  Sourced<Expr> load_time;
  friend bool operator==(const ScheduleRule&, const ScheduleRule&) = default;
};

struct Rules {
  CacheRule cache;
  PrefetchRule prefetch;
  ScheduleRule schedule;
  friend bool operator==(const Rules&, const Rules&) = default;
};

/// The keys of those blocks that can be overridden (all but scope, pin and preload). ir/keys.h has the table.
enum class Key : uint8_t {
  capacity,
  eviction,
  admit,
  frequency_decay,
  decay_interval,
  score_ema_alpha,
  freq_threshold,
  freq_window,
  ttl,
  memory_threshold,
  memory_headroom,
  memory_budget_gb,
  expert_size_gb,
  protect_selected,
  one_by_one,
  strategy,
  budget,
  lookahead,
  history_window,
  affinity_threshold,
  min_probability,
  bandwidth,
  cancel_stale,
  store,
  top,
  side_buffer,
  profile,
  prefetch_when,
  prefetch_admit,
  prefetch_evict,
  mode,
  offload_threshold_ms,
  overlap,
  priority_routing,
  on_miss,
  deadline,
  max_loads,
  loads_in_order,
  arrival,
  order,
  approximate,
  drop,
  gpu_time,
  cpu_time,
  cpu_setup,
  load_time,
};
inline constexpr size_t kNumKeys = static_cast<size_t>(Key::load_time) + 1;

/// The value of a key. monostate: not set, of a key that may be absent (ttl, deadline, evict, ...).
using KeyValue = std::variant<std::monostate, bool, uint64_t, double, std::string, Capacity, EvictionRule, AdmitRule,
                              StrategyChain, ScheduleMode, std::vector<Arm>, Expr>;

/// One key with another value: of a phase, a band of layers, or a rule.
struct Assignment {
  Key key = Key::capacity;
  KeyValue value;
  SourceSpan span;  ///< of the value
  friend bool operator==(const Assignment& a, const Assignment& b) { return a.key == b.key && a.value == b.value; }
};

// ---- the other blocks
// ------------------------------------------------------------------------------------------------

/// What is measured (`monitor { ... }`).
struct MonitorRule {
  std::vector<Sourced<std::string>> metrics{Sourced<std::string>{"hit_rate"}};
  Sourced<uint32_t> window{100};       ///< dispatches, 1..4096
  Sourced<uint32_t> log_interval{50};  ///< dispatches, >= 1
  friend bool operator==(const MonitorRule&, const MonitorRule&) = default;
};

/// An online predictor of the next use (`learn { ... }`).
struct LearnRule {
  Sourced<uint32_t> window{24};   ///< dispatches of any layer as input, 1..4096
  Sourced<double> discount{0.8};  ///< (0, 1]
  Sourced<double> rate{0.01};     ///< (0, 1]
  Sourced<std::string> profile;   ///< start from its weights; empty: from zero
  Sourced<bool> freeze{false};
  friend bool operator==(const LearnRule&, const LearnRule&) = default;
};

/// How the slots are shared by the layers (`per_layer { ... }`).
struct PerLayerRule {
  Sourced<Allocation> allocation{Allocation::entropy};
  std::optional<Sourced<uint64_t>> total_budget;  ///< slots; nullopt: layers x capacity
  Sourced<uint32_t> min_capacity{2};
  Sourced<uint32_t> max_capacity{64};
  Sourced<uint64_t> rebalance_interval{500};  ///< dispatches; 0: never
  Sourced<uint32_t> entropy_window{200};      ///< dispatches, 1..4096
  Sourced<std::vector<uint32_t>> capacities;  ///< fixed slots of each layer, the last repeats; empty: not written
  friend bool operator==(const PerLayerRule&, const PerLayerRule&) = default;
};

struct RuleAction {
  enum class Kind : uint8_t { assign, use, rebalance, trigger_pressure, signal };
  Kind kind = Kind::assign;
  Assignment assignment;                        ///< of assign
  std::string name;                             ///< of use: a policy; of signal: the signal
  Allocation allocation = Allocation::entropy;  ///< of rebalance
  SourceSpan span;
  friend bool operator==(const RuleAction& a, const RuleAction& b) {
    return a.kind == b.kind && a.assignment == b.assignment && a.name == b.name && a.allocation == b.allocation;
  }
};

/// when E [for N unit] [cooldown N] { actions } [revert]. A short form `a : b when E` is such a rule, with revert.
struct AdaptRule {
  enum class Unit : uint8_t { accesses, dispatches, tokens };
  Expr condition;
  Sourced<uint64_t> stretch{1};  ///< >= 1
  Unit unit = Unit::dispatches;
  Sourced<uint64_t> cooldown{0};    ///< dispatches
  std::vector<RuleAction> actions;  ///< at least one
  bool revert = false;
  SourceSpan span;
  friend bool operator==(const AdaptRule& a, const AdaptRule& b) {
    return a.condition == b.condition && a.stretch.value == b.stretch.value && a.unit == b.unit &&
           a.cooldown.value == b.cooldown.value && a.actions == b.actions && a.revert == b.revert;
  }
};
std::string_view to_word(AdaptRule::Unit);

/// choose A, B by E every N dispatches [explore X]: an epsilon-greedy bandit over policies.
struct Choose {
  std::vector<Sourced<std::string>> policies;
  Expr reward;
  Sourced<uint64_t> every{1};
  Sourced<double> explore{0.1};  ///< [0, 1]
  SourceSpan span;
  friend bool operator==(const Choose& a, const Choose& b) {
    return a.policies == b.policies && a.reward == b.reward && a.every == b.every && a.explore == b.explore;
  }
};

struct Tier {
  Sourced<std::string> name;
  Sourced<Location> location{Location::gpu};
  Sourced<Dtype> dtype{Dtype::as_stored};
  std::optional<Sourced<Capacity>> capacity;  ///< nullopt: whatever the location holds
  Sourced<bool> pinned{false};                ///< true by default for host
  Sourced<uint32_t> group_size{128};
  Sourced<std::string> path;  ///< of disk; empty: the store's
  SourceSpan span;
  friend bool operator==(const Tier& a, const Tier& b) {
    return a.name == b.name && a.location == b.location && a.dtype == b.dtype && a.capacity == b.capacity &&
           a.pinned == b.pinned && a.group_size == b.group_size && a.path == b.path;
  }
};

/// promote A -> B when E; demote A -> B on evict
struct Move {
  bool promote = true;
  Sourced<std::string> from;
  Sourced<std::string> to;
  Expr condition;  ///< empty: on evict
  SourceSpan span;
  friend bool operator==(const Move& a, const Move& b) {
    return a.promote == b.promote && a.from == b.from && a.to == b.to && a.condition == b.condition;
  }
};

/// Bits that a weight takes, scales included: int8, int4 and int2 share a bf16 scale and shift among `group_size`
/// weights. as_stored counts as bf16, which checkpoints mostly are.
double bits_per_weight(Dtype dtype, uint64_t group_size);

/// precision = by (E) [ bf16 >= 0.5, int4 ]
struct Ladder {
  struct Rung {
    Dtype dtype = Dtype::as_stored;
    double at_least = 0;  ///< of all but the last
    friend bool operator==(const Rung&, const Rung&) = default;
  };
  Expr by;
  std::vector<Rung> rungs;  ///< thresholds fall; the last takes the rest
  friend bool operator==(const Ladder&, const Ladder&) = default;
};

/// Whether tiers below the first can let go by it: score, freq_threshold and a | b need what only a cache counts.
bool rules_lower_tiers(const EvictionRule& rule);

/// Where weights can live, fastest first (`tiers { ... }`).
struct TiersRule {
  std::vector<Tier> tiers;
  std::vector<Move> moves;
  Sourced<bool> inclusive{true};
  std::optional<Sourced<EvictionRule>> eviction;  ///< of the tiers below the first; nullopt: the cache's
  Sourced<bool> direct{false};
  std::optional<Sourced<Ladder>> precision;
  SourceSpan span;
  friend bool operator==(const TiersRule& a, const TiersRule& b) {
    return a.tiers == b.tiers && a.moves == b.moves && a.inclusive == b.inclusive && a.eviction == b.eviction &&
           a.direct == b.direct && a.precision == b.precision;
  }
};

/// `memory { ... }`
struct MemoryRule {
  std::optional<Sourced<uint64_t>> budget;  ///< bytes
  Sourced<uint64_t> kv_reserve{0};          ///< bytes
  Sourced<double> warn{0.8};                ///< (0, 1]
  Sourced<double> shed{0.92};               ///< (0, 1]
  std::vector<RuleAction> on_warn;
  std::vector<RuleAction> on_shed;
  friend bool operator==(const MemoryRule&, const MemoryRule&) = default;
};

/// layers A..B { ... }: inclusive, bands do not overlap.
struct Band {
  uint32_t first = 0;
  uint32_t last = 0;
  std::vector<Assignment> overrides;
  std::optional<std::vector<Sourced<Pin>>> pins;     ///< replace the cache's in these layers
  std::optional<std::vector<Sourced<Pin>>> preload;  ///< likewise
  std::optional<TiersRule> tiers;
  SourceSpan span;
  friend bool operator==(const Band& a, const Band& b) {
    return a.first == b.first && a.last == b.last && a.overrides == b.overrides && a.pins == b.pins &&
           a.preload == b.preload && a.tiers == b.tiers;
  }
};

/// phase prefill { ... }
struct PhaseRule {
  Phase phase = Phase::prefill;
  std::vector<Assignment> overrides;
  SourceSpan span;
  friend bool operator==(const PhaseRule& a, const PhaseRule& b) {
    return a.phase == b.phase && a.overrides == b.overrides;
  }
};

/// A knob: its value is folded into the policy already; kept for `moec tune` and for readers.
struct Param {
  std::string name;
  std::string value;   ///< a literal of the language
  std::string domain;  ///< as after `in`; empty: none
  friend bool operator==(const Param&, const Param&) = default;
};

/// One policy of a file, `extends` resolved. What holds in a dispatch: the three blocks, then its layer's band, then
/// its phase, then the active rules in order of text; the later wins.
struct Policy {
  Sourced<std::string> name;
  std::vector<Param> params;
  CacheRule cache;
  PrefetchRule prefetch;
  ScheduleRule schedule;
  std::optional<MonitorRule> monitor;  ///< nullopt: no block; the defaults above are in force
  std::optional<LearnRule> learn;
  std::optional<PerLayerRule> per_layer;
  std::optional<TiersRule> tiers;  ///< replaces cache.capacity
  std::optional<MemoryRule> memory;
  std::vector<Band> bands;        ///< by ascending layer
  std::vector<PhaseRule> phases;  ///< each phase at most once
  std::vector<AdaptRule> adapt;   ///< short forms first, in order of text, then the rules
  std::vector<Choose> choose;
  std::vector<Policy> alternatives;  ///< what `use` and `choose` name, each once, without rules of their own
  SourceSpan span;                   ///< the whole policy

  Rules rules() const { return {cache, prefetch, schedule}; }
  /// The band of a layer; null: none has it.
  const Band* band_of(uint32_t layer) const;
  friend bool operator==(const Policy& a, const Policy& b);
};

/// A whole file: at least one policy, names unique.
struct Module {
  std::vector<Policy> policies;  ///< the file's own, in its order, then the imported ones that they name
  size_t num_own = 0;            ///< the first so many are the file's own
  friend bool operator==(const Module& a, const Module& b) { return a.policies == b.policies; }
};

/// Canonical text: the policy language itself with every key explicit, so that it reads back as the same IR.
std::string print_text(const Policy& policy);
std::string print_text(const Module& module);
/// One JSON object per policy: name, the blocks, exactness, timing_free.
std::string print_json(const Policy& policy);
std::string print_json(const Module& module);

/// Whether the model's output can differ from the fully resident run (semantics: Exactness).
enum class Exactness : uint8_t { exact, exact_on_host, approximate };
std::string_view to_word(Exactness);
/// Over everything that a phase, band, rule or alternative can put in force.
Exactness exactness(const Policy& policy);

/// Whether decisions are a function of routing alone, so that every engine and a live run agree bit for bit.
bool timing_free(const Policy& policy);

/// Lists every broken invariant of the IR, one sentence each; empty when it holds. Run after every pass in debug
/// builds.
std::vector<std::string> verify(const Policy& policy);

}  // namespace moe::ir
