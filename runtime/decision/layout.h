// SPDX-License-Identifier: Apache-2.0
// Where everything lies in a policy's state block.
#pragma once
#include "runtime/decision/abi.h"
#include "runtime/decision/predict/layout.h"

#define MOE_INLINE inline __attribute__((always_inline))

namespace moe::decision {

inline constexpr int64_t kNeverVictim = INT64_MAX;  ///< rank of places that are free, pinned or protected

struct Header {
  uint64_t load_counter;  ///< loads so far, prefetches and pins included
  uint64_t epoch;         ///< dispatches tried so far; stamps compare with it
  uint32_t num_resident;
  uint32_t num_exempt;     ///< residents flagged kExempt
  uint64_t request_epoch;  ///< requests so far, from 1; 0: no dispatch yet
  uint32_t request;
  uint32_t new_request;    ///< 1: the dispatch in progress begins it
  uint32_t alternative;    ///< of Changes: which policy is in force
  uint64_t dispatches;     ///< decided so far; counted where rules change or metrics are read
  uint32_t variant;        ///< of Changes: that of the last dispatch
  uint64_t arm_lots;       ///< of `choose`: which arm it explores
  uint32_t mask;           ///< of Changes: the active rules that change what holds
  uint32_t strategies;     ///< bit 1 << Strategy for each that was in force before
  uint32_t num_arriving;   ///< residents that cannot be hit yet
  uint32_t tiers_started;  ///< 1: tiers know of the pins
  uint32_t num_moves;      ///< of the dispatch in progress, as the next
  uint32_t num_copies;
  uint32_t steady_known;  ///< 1: the kept parts of least(E) are, of all keys
};

struct Instance {
  uint64_t accesses;
  int32_t num_free;  ///< places that may be taken now; below 0 while a capacity that shrank is exceeded
  uint32_t variant;  ///< whose rules it has installed
  uint32_t capacity;
  uint32_t reserved;
  uint32_t in_segment[2];  ///< residents of each, under a | b
};

enum ResidentFlags : uint32_t {
  kPinned = 1,
  kExempt = 2,          ///< freq_threshold: stays until its layer has run
  kUnusedPrefetch = 4,  ///< where prefetches are counted
};

/// One place of the cache and what is in it.
struct Resident {
  uint32_t key;  ///< kNone: free
  uint32_t flags;
  uint64_t uses;      ///< since load
  uint64_t last_use;  ///< the instance's access number
  uint64_t load;      ///< number of its load
  double ema;         ///< of its router weight
};

/// Doubly linked places; the ring of instance i closes through node sentinel(i).
struct Link {
  uint32_t prev;
  uint32_t next;
};

/// What a rule with queues of its own (kQueue) keeps of an instance; each rule says at its top what it uses.
struct QueueState {
  double target;      ///< arc: p
  uint64_t accesses;  ///< w_tinylfu: since the last halving
  uint64_t halvings;  ///< w_tinylfu
  uint32_t hand;      ///< sieve: the member it stands at, or the queue's end
  uint32_t num_lir;   ///< lirs
  uint32_t size[4];   ///< keys in each of its lists
};

/// A dispatch, as the metrics of the monitor's window count it.
struct Sample {
  uint32_t accesses;
  uint32_t hits;
  uint32_t evictions;
  uint32_t prefetched;
  uint32_t prefetch_used;  ///< accesses that were hits only thanks to a prefetch
  uint32_t reserved;
  double stall_ms;
  double link_gbps;
  double tokens_per_s;
};
/// Their sums over the window.
struct SampleSums {
  uint64_t count;  ///< of samples
  uint64_t accesses;
  uint64_t hits;
  uint64_t evictions;
  uint64_t prefetched;
  uint64_t prefetch_used;
};

/// Of a rule of `adapt`.
struct RuleState {
  uint64_t held;    ///< of its stretch, while the condition holds
  uint64_t failed;  ///< likewise, while it does not hold
  uint64_t last_fired;
  uint32_t fired;  ///< and the condition has held since
  uint32_t active;
  uint32_t ever;  ///< last_fired means something
  uint32_t reserved;
};
struct ChoiceState {
  uint64_t since;  ///< dispatches of this arm
  uint32_t arm;    ///< kNone: nobody has played yet
  uint32_t reserved;
};
struct ArmState {
  uint64_t plays;
  double mean;
};

/// What a dispatch notes for each of its unique experts.
struct Entry {
  uint64_t access;  ///< its access number
  double weight;    ///< largest router weight
  union {
    int64_t saved_rank;  ///< while it is protected
    double order_value;  ///< of `order`, before
  };
  uint32_t place;         ///< at the hit or load; kNone: neither
  uint32_t last_token;    ///< the last token that chose it
  uint32_t position;      ///< in order of first appearance
  uint32_t was_resident;  ///< 1: when the dispatch began
  uint32_t miss;          ///< MissAction, of a miss
  uint32_t on_host;       ///< 1: balance gives it to the host
  uint32_t from_side;     ///< 1: a hit in the side buffer
};

/// Offsets in bytes. With constant Params all of it folds.
struct Layout {
  size_t instances, place_of, residents, order, recency, rank, tag, free_places;
  size_t ring, counts;                                                                 // freq_threshold
  size_t history_bits, history_counts, history_last, history_length, history_counted;  // predictors
  size_t freq, loaded_at;  // what expressions read: by place
  size_t last_access, seen, last_dispatch, request_epoch, request_uses, rates, steady;  // by key
  size_t layer_dispatches;
  size_t samples, sample_sums, remembered;                                                    // metrics
  size_t entropy_bits, entropy_counts, entropy_total, entropy_length;                         // likewise, by layer
  size_t rule_states, choice_states, arm_states;                                              // what changes over time
  size_t slots, slot_weights, slot_fractions, ghosts, num_ghosts, hits_at_depth;              // per_layer
  size_t stamps, entry_of, entries, misses, candidates, sorted, balance_list, history_order;  // scratch of one dispatch
  size_t queues, links, second_links, marks, use_counts, lots, bits;                          // rules with queues
  size_t arrives, aside, segments;  // when a resident can be hit; by key: beside the cache, segment of a | b
  size_t may_leave, segment_order, segment_tags;  // scratch of a | b
  size_t tier_order, tier_sizes, tier_queues, tier_links, tier_second_links, tier_marks, tier_use_counts;
  size_t rungs, start_places;  // by key: of the ladder; scratch
  PredictLayout predict;
  size_t total;
  uint32_t bit_words;  ///< 64-bit words of one layer's expert set
};

/// A prefetch candidate.
struct Candidate {
  uint32_t key;
  uint32_t strategy;  ///< that named it
  double predicted;
};

constexpr bool keeps(const Params& p, uint32_t what) { return (p.keeps & what) != 0; }
MOE_INLINE constexpr bool is_segmented(const Params& p) {
  return p.eviction == static_cast<uint32_t>(Eviction::segmented);
}
/// The rules that this variant or another one has, of the cache, its segments or of prefetch's `evict`.
MOE_INLINE constexpr uint32_t all_rules(const Params& p) {
  return 1u << p.eviction | p.room.rules | (p.has_prefetch_evict != 0 ? 1u << p.prefetch_evict : 0) |
         (is_segmented(p) ? 1u << p.segments[0] | 1u << p.segments[1] : 0);
}
template <class... Rules>
MOE_INLINE constexpr bool some_has(const Params& p, Rules... rules) {
  return (all_rules(p) & ((1u << static_cast<uint32_t>(rules)) | ...)) != 0;
}
MOE_INLINE constexpr bool has_rank(const Params& p) {
  return some_has(p, Eviction::lfu, Eviction::score, Eviction::least);
}
MOE_INLINE constexpr bool has_order(const Params& p) { return some_has(p, Eviction::lru, Eviction::fifo); }
MOE_INLINE constexpr bool has_ttl(const Params& p) { return p.ttl != 0 || p.room.ttl != 0; }
/// lru's own order is that of last use.
MOE_INLINE constexpr bool has_recency(const Params& p) {
  return has_ttl(p) && (all_rules(p) & ~(1u << static_cast<uint32_t>(Eviction::lru))) != 0;
}
MOE_INLINE constexpr bool has_window(const Params& p) { return some_has(p, Eviction::freq_threshold); }
MOE_INLINE constexpr bool has_tiers(const Params& p) { return p.num_tier_sets != 0; }
MOE_INLINE constexpr bool has_tier_queues(const Params& p) {
  constexpr uint32_t kQueues =
      (1u << static_cast<uint32_t>(Eviction::random)) - (1u << static_cast<uint32_t>(Eviction::sieve));
  return (p.tier_evictions & kQueues) != 0;
}
/// Of the cache or of tiers.
MOE_INLINE constexpr bool draws_lots(const Params& p) {
  return some_has(p, Eviction::random) || (p.tier_evictions & 1u << static_cast<uint32_t>(Eviction::random)) != 0;
}
MOE_INLINE constexpr bool has_queues(const Params& p) {
  return some_has(p, Eviction::sieve, Eviction::s3_fifo, Eviction::arc, Eviction::lirs, Eviction::w_tinylfu,
                  Eviction::random);
}
MOE_INLINE constexpr bool has_links(const Params& p) {
  return some_has(p, Eviction::sieve, Eviction::s3_fifo, Eviction::arc, Eviction::lirs, Eviction::w_tinylfu);
}
MOE_INLINE constexpr bool has_marks(const Params& p) {
  return some_has(p, Eviction::sieve, Eviction::s3_fifo, Eviction::arc);
}
constexpr uint32_t max_history_window(const Params& p) {
  return p.history_window > p.room.history_window ? p.history_window : p.room.history_window;
}
constexpr uint64_t max_freq_window(const Params& p) {
  return p.freq_window > p.room.freq_window ? p.freq_window : p.room.freq_window;
}
constexpr const PerLayer* per_layer_of(const Params& p) {
  return p.changes == nullptr ? nullptr : p.changes->per_layer;
}
/// Whether victims are remembered and depths counted.
constexpr bool counts_depth(const Params& p) {
  return per_layer_of(p) != nullptr && per_layer_of(p)->counts_depth != 0;
}
/// Whether history's counts are of a window that changes.
constexpr bool history_varies(const Params& p) { return has_history(p) && p.room.history_varies != 0; }
/// Whether metrics of the monitor's window are read.
constexpr bool has_samples(const Params& p) { return keeps(p, kCountsRates | kCountsPrefetches | kKeepsMeasured); }

/// Of this variant or another one: `arrival`, `side_buffer`.
MOE_INLINE constexpr bool has_arrival(const Params& p) { return p.arrival != 0 || p.room.arrival != 0; }
MOE_INLINE constexpr bool has_side_buffer(const Params& p) { return p.side_buffer != 0 || p.room.side_buffer != 0; }
/// Whether the dispatches of each layer are counted.
MOE_INLINE constexpr bool counts_dispatches(const Params& p) { return keeps(p, kKeepsIdle) || has_arrival(p); }

/// What rules with queues keep: once, and under a | b for each segment.
constexpr size_t num_queue_sets(const Params& p) { return some_has(p, Eviction::segmented) ? 2 : 1; }

/// Lists of keys of one instance, and the nodes of all: the keys, then each list's sentinel.
inline constexpr uint32_t kMaxLists = 4;
constexpr size_t num_list_nodes(const Params& p) { return p.num_keys() + size_t{kMaxLists} * p.num_instances(); }

/// 64-bit words of one instance's set of keys.
constexpr uint32_t key_words(const Params& p) { return (p.num_keys() / p.num_instances() + 63) / 64; }

/// Places of one instance, rounded up so that each instance's ranks fill whole vectors.
constexpr size_t padded_capacity(const Params& p) { return (size_t{p.max_capacity()} + 7) & ~size_t{7}; }

/// Always inlined: a call would hide the offsets from the optimiser.
__attribute__((always_inline)) constexpr Layout make_layout(const Params& p) {
  Layout at{};
  size_t end = 0;
  auto take = [&end](size_t count, size_t size) {
    const size_t begin = end;
    end = (end + count * size + 63) & ~size_t{63};
    return begin;
  };
  take(1, sizeof(Header));
  const size_t instances = p.num_instances();
  const size_t places = padded_capacity(p) * instances;
  const size_t keys = p.num_keys();
  const size_t layers = p.num_layers;
  at.instances = take(instances, sizeof(Instance));
  at.place_of = take(keys, sizeof(uint32_t));
  // One more place for what is done to nobody: nobodys_place().
  at.residents = take(places + 1, sizeof(Resident));
  at.order = take(has_order(p) ? places + 1 + instances : 0, sizeof(Link));
  at.recency = take(has_recency(p) ? places + 1 + instances : 0, sizeof(Link));
  at.rank = take(has_rank(p) ? places + 1 : 0, sizeof(int64_t));
  at.tag = take(has_rank(p) ? places : 0, sizeof(uint64_t));
  at.free_places = take(places, sizeof(uint32_t));
  at.ring = take(has_window(p) ? instances * max_freq_window(p) : 0, sizeof(uint32_t));
  at.counts = take(has_window(p) ? keys : 0, sizeof(uint32_t));
  at.bit_words = (p.num_experts + 63) / 64;
  at.history_bits = take(has_history(p) ? layers * max_history_window(p) * at.bit_words : 0, sizeof(uint64_t));
  at.history_counts = take(has_history(p) ? keys : 0, sizeof(uint32_t));
  at.history_last = take(has_history(p) ? keys : 0, sizeof(uint64_t));
  at.history_length = take(has_history(p) ? layers : 0, sizeof(uint64_t));
  at.history_counted = take(history_varies(p) ? layers : 0, sizeof(uint32_t));
  at.freq = take(keeps(p, kKeepsFreq) ? places + 1 : 0, sizeof(double));
  at.loaded_at = take(keeps(p, kKeepsLoadedAt) ? places : 0, sizeof(uint64_t));
  at.last_access = take(keeps(p, kKeepsLastAccess) ? keys : 0, sizeof(uint64_t));
  at.seen = take(keeps(p, kKeepsSeen) ? keys : 0, sizeof(double));
  at.last_dispatch = take(keeps(p, kKeepsIdle) ? keys : 0, sizeof(uint64_t));
  at.request_epoch = take(keeps(p, kKeepsRequestUses) ? keys : 0, sizeof(uint64_t));
  at.request_uses = take(keeps(p, kKeepsRequestUses) ? keys : 0, sizeof(uint64_t));
  at.rates = take(keys * p.num_rates, sizeof(double));
  at.steady = take(keys * p.num_steady, sizeof(double));
  at.layer_dispatches = take(counts_dispatches(p) ? layers : 0, sizeof(uint64_t));
  at.samples = take(has_samples(p) ? p.monitor_window : 0, sizeof(Sample));
  at.sample_sums = take(has_samples(p) ? 1 : 0, sizeof(SampleSums));
  at.remembered = take(p.num_remembered_values, sizeof(double));
  const bool entropy = keeps(p, kKeepsEntropy);
  at.entropy_bits = take(entropy ? layers * p.entropy_window * at.bit_words : 0, sizeof(uint64_t));
  at.entropy_counts = take(entropy ? keys : 0, sizeof(uint32_t));
  at.entropy_total = take(entropy ? layers : 0, sizeof(uint64_t));
  at.entropy_length = take(entropy ? layers : 0, sizeof(uint64_t));
  at.rule_states = take(p.changes != nullptr ? p.changes->num_rules : 0, sizeof(RuleState));
  at.choice_states = take(p.changes != nullptr ? p.changes->num_choices : 0, sizeof(ChoiceState));
  at.arm_states = take(p.changes != nullptr ? 2 * size_t{p.changes->num_arms} : 0, sizeof(ArmState));
  at.sorted = take(p.changes != nullptr ? p.max_capacity() : 0, sizeof(uint32_t));
  const bool shares = per_layer_of(p) != nullptr;
  const bool depth = counts_depth(p);
  at.slots = take(shares ? layers : 0, sizeof(uint32_t));
  at.slot_weights = take(shares ? layers : 0, sizeof(double));
  at.slot_fractions = take(shares ? layers : 0, sizeof(double));
  at.ghosts = take(depth ? layers * p.max_capacity() : 0, sizeof(uint32_t));
  at.num_ghosts = take(depth ? layers : 0, sizeof(uint32_t));
  at.hits_at_depth = take(depth ? layers * p.max_capacity() : 0, sizeof(uint64_t));
  at.balance_list = take(p.balance != 0 || p.room.balance != 0 ? p.num_experts : 0, sizeof(uint32_t));
  at.stamps = take(p.num_experts, sizeof(uint64_t));
  at.entry_of = take(p.num_experts, sizeof(uint32_t));
  at.entries = take(p.num_experts, sizeof(Entry));
  at.misses = take(p.num_experts + 1, sizeof(uint32_t));
  at.history_order = take(has_history(p) ? p.num_experts : 0, sizeof(int64_t));
  at.candidates = take(p.max_budget(), sizeof(Candidate));
  const size_t sets = num_queue_sets(p);
  at.queues = take(has_queues(p) ? sets * instances : 0, sizeof(QueueState));
  at.links = take(has_links(p) ? sets * num_list_nodes(p) : 0, sizeof(Link));
  at.second_links = take(some_has(p, Eviction::lirs) ? sets * num_list_nodes(p) : 0, sizeof(Link));
  at.marks = take(has_marks(p) ? sets * keys : 0, sizeof(uint8_t));
  at.use_counts = take(some_has(p, Eviction::w_tinylfu) ? sets * keys : 0, sizeof(uint64_t));
  at.lots = take(draws_lots(p) ? 1 : 0, sizeof(uint64_t));
  at.bits = take(some_has(p, Eviction::random) ? instances * key_words(p) : 0, sizeof(uint64_t));
  at.arrives = take(has_arrival(p) ? places : 0, sizeof(uint64_t));
  at.aside = take(has_side_buffer(p) ? keys : 0, sizeof(uint8_t));
  at.segments = take(sets == 2 ? keys : 0, sizeof(uint8_t));
  at.may_leave = take(sets == 2 ? places : 0, sizeof(uint8_t));
  at.segment_order = take(sets == 2 ? 2 * padded_capacity(p) : 0, sizeof(int64_t));
  at.segment_tags = take(sets == 2 ? padded_capacity(p) : 0, sizeof(uint64_t));
  const size_t queues = has_tier_queues(p) ? p.num_tiers : 0;
  at.tier_order = take(p.num_tiers * (keys + 1), sizeof(Link));
  at.tier_sizes = take(p.num_tiers, sizeof(uint32_t));
  at.tier_queues = take(queues, sizeof(QueueState));
  at.tier_links = take(queues * (keys + kMaxLists), sizeof(Link));
  at.tier_second_links = take(queues * (keys + kMaxLists), sizeof(Link));
  at.tier_marks = take(queues * keys, sizeof(uint8_t));
  at.tier_use_counts = take(queues * keys, sizeof(uint64_t));
  at.rungs = take(has_tiers(p) ? keys : 0, sizeof(uint8_t));
  at.start_places = take(has_tiers(p) ? p.total_capacity() : 0, sizeof(uint32_t));
  at.predict = lay_predictors(p, places, take);
  at.total = end;
  return at;
}

/// Typed access to a state block. Copies nothing; const-ness is the caller's business.
class State {
 public:
#ifdef MOE_PHASES  // of many policies: where everything lies has been worked out
  MOE_INLINE State(const Params& p, void* block, const Layout& at) : p_(p), base_(static_cast<char*>(block)), at_(at) {}
  /// Defined nowhere.
  State(const Params& p, void* block);
#else
  MOE_INLINE State(const Params& p, void* block) : p_(p), base_(static_cast<char*>(block)), at_(make_layout(p)) {}
#endif

  MOE_INLINE Header& header() const { return *at<Header>(0); }
  MOE_INLINE Instance& instance(uint32_t i) const { return at<Instance>(at_.instances)[i]; }
  MOE_INLINE uint32_t& place_of(uint32_t key) const { return at<uint32_t>(at_.place_of)[key]; }
  MOE_INLINE Resident& resident(uint32_t place) const { return at<Resident>(at_.residents)[place]; }
  MOE_INLINE Link* order() const { return at<Link>(at_.order); }
  MOE_INLINE Link* recency() const { return at<Link>(at_.recency); }
  MOE_INLINE int64_t* rank() const { return at<int64_t>(at_.rank); }
  MOE_INLINE uint64_t* tag() const { return at<uint64_t>(at_.tag); }
  MOE_INLINE uint32_t* free_places(uint32_t i) const { return at<uint32_t>(at_.free_places) + i * padded_capacity(p_); }
  MOE_INLINE uint32_t* ring(uint32_t i) const { return at<uint32_t>(at_.ring) + i * max_freq_window(p_); }
  MOE_INLINE uint32_t* counts() const { return at<uint32_t>(at_.counts); }
  MOE_INLINE uint64_t* history_bits(uint32_t layer, uint64_t slot) const {
    return at<uint64_t>(at_.history_bits) + (uint64_t{layer} * max_history_window(p_) + slot) * at_.bit_words;
  }
  MOE_INLINE uint32_t* history_counts() const { return at<uint32_t>(at_.history_counts); }
  MOE_INLINE uint64_t* history_last() const { return at<uint64_t>(at_.history_last); }
  MOE_INLINE uint64_t& history_length(uint32_t layer) const { return at<uint64_t>(at_.history_length)[layer]; }
  MOE_INLINE uint32_t& history_counted(uint32_t layer) const { return at<uint32_t>(at_.history_counted)[layer]; }
  MOE_INLINE double* freq() const { return at<double>(at_.freq); }
  MOE_INLINE uint64_t* loaded_at() const { return at<uint64_t>(at_.loaded_at); }
  MOE_INLINE uint64_t* last_access() const { return at<uint64_t>(at_.last_access); }
  MOE_INLINE double* seen() const { return at<double>(at_.seen); }
  MOE_INLINE uint64_t* last_dispatch() const { return at<uint64_t>(at_.last_dispatch); }
  MOE_INLINE uint64_t* request_epoch() const { return at<uint64_t>(at_.request_epoch); }
  MOE_INLINE uint64_t* request_uses() const { return at<uint64_t>(at_.request_uses); }
  MOE_INLINE double* rate(uint32_t i) const { return at<double>(at_.rates) + size_t{i} * p_.num_keys(); }
  MOE_INLINE double* steady(uint32_t i) const { return at<double>(at_.steady) + size_t{i} * p_.num_keys(); }
  MOE_INLINE uint64_t* layer_dispatches() const { return at<uint64_t>(at_.layer_dispatches); }
  MOE_INLINE Sample* samples() const { return at<Sample>(at_.samples); }
  MOE_INLINE SampleSums& sample_sums() const { return *at<SampleSums>(at_.sample_sums); }
  MOE_INLINE double* remembered(uint32_t first) const { return at<double>(at_.remembered) + first; }
  MOE_INLINE uint64_t* entropy_bits(uint32_t layer, uint64_t slot) const {
    return at<uint64_t>(at_.entropy_bits) + (uint64_t{layer} * p_.entropy_window + slot) * at_.bit_words;
  }
  MOE_INLINE uint32_t* entropy_counts(uint32_t layer) const {
    return at<uint32_t>(at_.entropy_counts) + size_t{layer} * p_.num_experts;
  }
  MOE_INLINE uint64_t& entropy_total(uint32_t layer) const { return at<uint64_t>(at_.entropy_total)[layer]; }
  MOE_INLINE uint64_t& entropy_length(uint32_t layer) const { return at<uint64_t>(at_.entropy_length)[layer]; }
  MOE_INLINE RuleState* rule_states() const { return at<RuleState>(at_.rule_states); }
  MOE_INLINE ChoiceState* choice_states() const { return at<ChoiceState>(at_.choice_states); }
  /// Of the arms of all choices, in `phase`.
  MOE_INLINE ArmState* arm_states(uint32_t phase) const {
    return at<ArmState>(at_.arm_states) + size_t{phase} * p_.changes->num_arms;
  }
  MOE_INLINE uint32_t* slots() const { return at<uint32_t>(at_.slots); }
  MOE_INLINE double* slot_weights() const { return at<double>(at_.slot_weights); }
  MOE_INLINE double* slot_fractions() const { return at<double>(at_.slot_fractions); }
  MOE_INLINE uint32_t* ghosts(uint32_t i) const { return at<uint32_t>(at_.ghosts) + size_t{i} * p_.max_capacity(); }
  MOE_INLINE uint32_t& num_ghosts(uint32_t i) const { return at<uint32_t>(at_.num_ghosts)[i]; }
  MOE_INLINE uint64_t* hits_at_depth(uint32_t i) const {
    return at<uint64_t>(at_.hits_at_depth) + size_t{i} * p_.max_capacity();
  }
  MOE_INLINE uint32_t* balance_list() const { return at<uint32_t>(at_.balance_list); }
  MOE_INLINE uint32_t* sorted() const { return at<uint32_t>(at_.sorted); }
  MOE_INLINE uint64_t* stamps() const { return at<uint64_t>(at_.stamps); }
  MOE_INLINE uint32_t* entry_of() const { return at<uint32_t>(at_.entry_of); }
  MOE_INLINE Entry* entries() const { return at<Entry>(at_.entries); }
  MOE_INLINE uint32_t* misses() const { return at<uint32_t>(at_.misses); }
  MOE_INLINE int64_t* history_order() const { return at<int64_t>(at_.history_order); }
  MOE_INLINE Candidate* candidates() const { return at<Candidate>(at_.candidates); }
  MOE_INLINE QueueState& queue(uint32_t i) const { return at<QueueState>(at_.queues)[i]; }
  MOE_INLINE Link* links() const { return at<Link>(at_.links); }
  MOE_INLINE Link* second_links() const { return at<Link>(at_.second_links); }
  MOE_INLINE uint8_t* marks() const { return at<uint8_t>(at_.marks); }
  MOE_INLINE uint64_t* use_counts() const { return at<uint64_t>(at_.use_counts); }
  MOE_INLINE uint64_t& lots() const { return *at<uint64_t>(at_.lots); }
  MOE_INLINE uint64_t* bits(uint32_t i) const { return at<uint64_t>(at_.bits) + size_t{i} * key_words(p_); }
  MOE_INLINE uint64_t* arrives() const { return at<uint64_t>(at_.arrives); }
  MOE_INLINE uint8_t* aside() const { return at<uint8_t>(at_.aside); }
  MOE_INLINE uint8_t* segments() const { return at<uint8_t>(at_.segments); }
  MOE_INLINE uint8_t* may_leave() const { return at<uint8_t>(at_.may_leave); }  ///< by place: scratch of a | b
  // Of one instance: rules/segment_orders.h.
  MOE_INLINE int64_t* segment_order() const { return at<int64_t>(at_.segment_order); }
  MOE_INLINE uint64_t* segment_tags() const { return at<uint64_t>(at_.segment_tags); }
  // Of tiers, those of all sets numbered through.
  MOE_INLINE Link* tier_order(uint32_t tier) const {
    return at<Link>(at_.tier_order) + size_t{tier} * (p_.num_keys() + 1);
  }
  MOE_INLINE uint32_t& tier_size(uint32_t tier) const { return at<uint32_t>(at_.tier_sizes)[tier]; }
  MOE_INLINE QueueState& tier_queue(uint32_t tier) const { return at<QueueState>(at_.tier_queues)[tier]; }
  MOE_INLINE Link* tier_links(uint32_t tier) const {
    return at<Link>(at_.tier_links) + size_t{tier} * (p_.num_keys() + kMaxLists);
  }
  MOE_INLINE Link* tier_second_links(uint32_t tier) const {
    return at<Link>(at_.tier_second_links) + size_t{tier} * (p_.num_keys() + kMaxLists);
  }
  MOE_INLINE uint8_t* tier_marks(uint32_t tier) const {
    return at<uint8_t>(at_.tier_marks) + size_t{tier} * p_.num_keys();
  }
  MOE_INLINE uint64_t* tier_use_counts(uint32_t tier) const {
    return at<uint64_t>(at_.tier_use_counts) + size_t{tier} * p_.num_keys();
  }
  MOE_INLINE uint8_t* rungs() const { return at<uint8_t>(at_.rungs); }
  MOE_INLINE uint32_t* start_places() const { return at<uint32_t>(at_.start_places); }
  MOE_INLINE double* foretold() const { return at<double>(at_.predict.foretold); }
  MOE_INLINE const PredictLayout& predict() const { return at_.predict; }
  MOE_INLINE uint32_t bit_words() const { return at_.bit_words; }

  /// First place of instance `i`.
  MOE_INLINE uint32_t first_place(uint32_t i) const { return static_cast<uint32_t>(i * padded_capacity(p_)); }
  /// What is written there is read by nobody.
  MOE_INLINE uint32_t nobodys_place() const { return first_place(p_.num_instances()); }
  MOE_INLINE uint32_t sentinel(uint32_t i) const { return nobodys_place() + 1 + i; }
  MOE_INLINE uint32_t instance_of_layer(uint32_t layer) const { return p_.scope_layer ? layer : 0; }
  MOE_INLINE uint32_t instance_of_place(uint32_t place) const {
    return p_.scope_layer ? static_cast<uint32_t>(place / padded_capacity(p_)) : 0;
  }

  template <class T>
  MOE_INLINE T* at(size_t offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }

 private:
  const Params& p_;
  char* base_;
#ifdef MOE_PHASES
  const Layout& at_;
#else
  const Layout at_;
#endif
};

/// A ring of places, oldest first. A place that is in no ring is linked to itself: to remove it does nothing.
class Ring {
 public:
  MOE_INLINE Ring(Link* links, uint32_t sentinel) : links_(links), sentinel_(sentinel) {}
  MOE_INLINE uint32_t end() const { return sentinel_; }
  MOE_INLINE uint32_t head() const { return links_[sentinel_].next; }
  MOE_INLINE uint32_t next(uint32_t place) const { return links_[place].next; }
  MOE_INLINE uint32_t tail() const { return links_[sentinel_].prev; }
  MOE_INLINE uint32_t previous(uint32_t place) const { return links_[place].prev; }
  /// `before`: a place, or end() for the ring's head.
  MOE_INLINE void insert_after(uint32_t before, uint32_t place) const {
    const uint32_t after = links_[before].next;
    links_[place] = {before, after};
    links_[before].next = place;
    links_[after].prev = place;
  }
  MOE_INLINE void clear() const { links_[sentinel_] = {sentinel_, sentinel_}; }
  MOE_INLINE void append(uint32_t place) const {
    const uint32_t tail = links_[sentinel_].prev;
    links_[place] = {tail, sentinel_};
    links_[tail].next = place;
    links_[sentinel_].prev = place;
  }
  /// Several in a row: what one append leaves to the next one is kept in a register, not stored and loaded again.
  class Appender {
   public:
    MOE_INLINE explicit Appender(const Ring& ring)
        : links_(ring.links_), sentinel_(ring.sentinel_), tail_(ring.links_[ring.sentinel_].prev) {}
    MOE_INLINE void append(uint32_t place) {
      links_[tail_].next = place;
      links_[place].prev = tail_;
      tail_ = place;
    }
    MOE_INLINE void finish() const {
      links_[tail_].next = sentinel_;
      links_[sentinel_].prev = tail_;
    }

   private:
    Link* links_;
    uint32_t sentinel_;
    uint32_t tail_;
  };
  MOE_INLINE void remove(uint32_t place) const {
    const Link link = links_[place];
    links_[link.prev].next = link.next;
    links_[link.next].prev = link.prev;
  }
  MOE_INLINE void leave_out(uint32_t place) const { links_[place] = {place, place}; }

 private:
  Link* links_;
  uint32_t sentinel_;
};

}  // namespace moe::decision
