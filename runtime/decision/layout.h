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
  uint32_t new_request;  ///< 1: the dispatch in progress begins it
};

struct Instance {
  uint64_t accesses;
  uint32_t num_free;
  uint32_t reserved;
};

enum ResidentFlags : uint32_t {
  kPinned = 1,
  kExempt = 2,  ///< freq_threshold: stays until its layer has run
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

/// Doubly linked places; the ring of instance i closes through node total_capacity + i.
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
  uint32_t reserved;
};

/// Offsets in bytes. With constant Params all of it folds.
struct Layout {
  size_t instances, place_of, residents, order, recency, rank, tag, free_places;
  size_t ring, counts;                                                          // freq_threshold
  size_t history_bits, history_counts, history_last, history_length;            // predictors
  size_t freq, loaded_at;                                                       // what expressions read: by place
  size_t last_access, seen, last_dispatch, request_epoch, request_uses, rates;  // by key
  size_t layer_dispatches;
  size_t stamps, entry_of, entries, candidates;                       // scratch of one dispatch
  size_t queues, links, second_links, marks, use_counts, lots, bits;  // rules with queues
  PredictLayout predict;
  size_t total;
  uint32_t bit_words;  ///< 64-bit words of one layer's expert set
};

/// A prefetch candidate.
struct Candidate {
  uint32_t key;
  uint32_t reserved;
  double predicted;
};

constexpr bool keeps(const Params& p, uint32_t what) { return (p.keeps & what) != 0; }
constexpr bool has_rank(const Params& p) {
  return p.eviction == static_cast<uint32_t>(Eviction::lfu) || p.eviction == static_cast<uint32_t>(Eviction::score) ||
         p.eviction == static_cast<uint32_t>(Eviction::least);
}
constexpr bool has_order(const Params& p) {
  return p.eviction == static_cast<uint32_t>(Eviction::lru) || p.eviction == static_cast<uint32_t>(Eviction::fifo);
}
constexpr bool has_recency(const Params& p) { return p.ttl != 0 && p.eviction != static_cast<uint32_t>(Eviction::lru); }
constexpr bool has_window(const Params& p) { return p.eviction == static_cast<uint32_t>(Eviction::freq_threshold); }
constexpr bool is_rule(const Params& p, Eviction rule) { return p.eviction == static_cast<uint32_t>(rule); }
constexpr bool has_queues(const Params& p) {
  return p.eviction >= static_cast<uint32_t>(Eviction::sieve) && p.eviction <= static_cast<uint32_t>(Eviction::random);
}
constexpr bool has_links(const Params& p) { return has_queues(p) && !is_rule(p, Eviction::random); }
constexpr bool has_marks(const Params& p) {
  return is_rule(p, Eviction::sieve) || is_rule(p, Eviction::s3_fifo) || is_rule(p, Eviction::arc);
}

/// Lists of keys of one instance, and the nodes of all: the keys, then each list's sentinel.
inline constexpr uint32_t kMaxLists = 4;
constexpr size_t num_list_nodes(const Params& p) { return p.num_keys() + size_t{kMaxLists} * p.num_instances(); }

/// 64-bit words of one instance's set of keys.
constexpr uint32_t key_words(const Params& p) { return (p.num_keys() / p.num_instances() + 63) / 64; }

/// Places of one instance, rounded up so that each instance's ranks fill whole vectors.
constexpr size_t padded_capacity(const Params& p) { return (size_t{p.capacity} + 7) & ~size_t{7}; }

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
  at.residents = take(places, sizeof(Resident));
  at.order = take(has_order(p) ? places + instances : 0, sizeof(Link));
  at.recency = take(has_recency(p) ? places + instances : 0, sizeof(Link));
  at.rank = take(has_rank(p) ? places : 0, sizeof(int64_t));
  at.tag = take(has_rank(p) ? places : 0, sizeof(uint64_t));
  at.free_places = take(places, sizeof(uint32_t));
  at.ring = take(has_window(p) ? instances * p.freq_window : 0, sizeof(uint32_t));
  at.counts = take(has_window(p) ? keys : 0, sizeof(uint32_t));
  at.bit_words = (p.num_experts + 63) / 64;
  at.history_bits = take(has_history(p) ? layers * p.history_window * at.bit_words : 0, sizeof(uint64_t));
  at.history_counts = take(has_history(p) ? keys : 0, sizeof(uint32_t));
  at.history_last = take(has_history(p) ? keys : 0, sizeof(uint64_t));
  at.history_length = take(has_history(p) ? layers : 0, sizeof(uint64_t));
  at.freq = take(keeps(p, kKeepsFreq) ? places : 0, sizeof(double));
  at.loaded_at = take(keeps(p, kKeepsLoadedAt) ? places : 0, sizeof(uint64_t));
  at.last_access = take(keeps(p, kKeepsLastAccess) ? keys : 0, sizeof(uint64_t));
  at.seen = take(keeps(p, kKeepsSeen) ? keys : 0, sizeof(double));
  at.last_dispatch = take(keeps(p, kKeepsIdle) ? keys : 0, sizeof(uint64_t));
  at.request_epoch = take(keeps(p, kKeepsRequestUses) ? keys : 0, sizeof(uint64_t));
  at.request_uses = take(keeps(p, kKeepsRequestUses) ? keys : 0, sizeof(uint64_t));
  at.rates = take(keys * p.num_rates, sizeof(double));
  at.layer_dispatches = take(keeps(p, kKeepsIdle) ? layers : 0, sizeof(uint64_t));
  at.stamps = take(p.num_experts, sizeof(uint64_t));
  at.entry_of = take(p.num_experts, sizeof(uint32_t));
  at.entries = take(p.num_experts, sizeof(Entry));
  at.candidates = take(p.strategy != static_cast<uint32_t>(Strategy::none) ? p.budget : 0, sizeof(Candidate));
  at.queues = take(has_queues(p) ? instances : 0, sizeof(QueueState));
  at.links = take(has_links(p) ? num_list_nodes(p) : 0, sizeof(Link));
  at.second_links = take(is_rule(p, Eviction::lirs) ? num_list_nodes(p) : 0, sizeof(Link));
  at.marks = take(has_marks(p) ? keys : 0, sizeof(uint8_t));
  at.use_counts = take(is_rule(p, Eviction::w_tinylfu) ? keys : 0, sizeof(uint64_t));
  at.lots = take(is_rule(p, Eviction::random) ? 1 : 0, sizeof(uint64_t));
  at.bits = take(is_rule(p, Eviction::random) ? instances * key_words(p) : 0, sizeof(uint64_t));
  at.predict = lay_predictors(p, places, take);
  at.total = end;
  return at;
}

/// Typed access to a state block. Copies nothing; const-ness is the caller's business.
class State {
 public:
  MOE_INLINE State(const Params& p, void* block) : p_(p), base_(static_cast<char*>(block)), at_(make_layout(p)) {}

  MOE_INLINE Header& header() const { return *at<Header>(0); }
  MOE_INLINE Instance& instance(uint32_t i) const { return at<Instance>(at_.instances)[i]; }
  MOE_INLINE uint32_t& place_of(uint32_t key) const { return at<uint32_t>(at_.place_of)[key]; }
  MOE_INLINE Resident& resident(uint32_t place) const { return at<Resident>(at_.residents)[place]; }
  MOE_INLINE Link* order() const { return at<Link>(at_.order); }
  MOE_INLINE Link* recency() const { return at<Link>(at_.recency); }
  MOE_INLINE int64_t* rank() const { return at<int64_t>(at_.rank); }
  MOE_INLINE uint64_t* tag() const { return at<uint64_t>(at_.tag); }
  MOE_INLINE uint32_t* free_places(uint32_t i) const { return at<uint32_t>(at_.free_places) + i * padded_capacity(p_); }
  MOE_INLINE uint32_t* ring(uint32_t i) const { return at<uint32_t>(at_.ring) + i * p_.freq_window; }
  MOE_INLINE uint32_t* counts() const { return at<uint32_t>(at_.counts); }
  MOE_INLINE uint64_t* history_bits(uint32_t layer, uint64_t slot) const {
    return at<uint64_t>(at_.history_bits) + (uint64_t{layer} * p_.history_window + slot) * at_.bit_words;
  }
  MOE_INLINE uint32_t* history_counts() const { return at<uint32_t>(at_.history_counts); }
  MOE_INLINE uint64_t* history_last() const { return at<uint64_t>(at_.history_last); }
  MOE_INLINE uint64_t& history_length(uint32_t layer) const { return at<uint64_t>(at_.history_length)[layer]; }
  MOE_INLINE double* freq() const { return at<double>(at_.freq); }
  MOE_INLINE uint64_t* loaded_at() const { return at<uint64_t>(at_.loaded_at); }
  MOE_INLINE uint64_t* last_access() const { return at<uint64_t>(at_.last_access); }
  MOE_INLINE double* seen() const { return at<double>(at_.seen); }
  MOE_INLINE uint64_t* last_dispatch() const { return at<uint64_t>(at_.last_dispatch); }
  MOE_INLINE uint64_t* request_epoch() const { return at<uint64_t>(at_.request_epoch); }
  MOE_INLINE uint64_t* request_uses() const { return at<uint64_t>(at_.request_uses); }
  MOE_INLINE double* rate(uint32_t i) const { return at<double>(at_.rates) + size_t{i} * p_.num_keys(); }
  MOE_INLINE uint64_t* layer_dispatches() const { return at<uint64_t>(at_.layer_dispatches); }
  MOE_INLINE uint64_t* stamps() const { return at<uint64_t>(at_.stamps); }
  MOE_INLINE uint32_t* entry_of() const { return at<uint32_t>(at_.entry_of); }
  MOE_INLINE Entry* entries() const { return at<Entry>(at_.entries); }
  MOE_INLINE Candidate* candidates() const { return at<Candidate>(at_.candidates); }
  MOE_INLINE QueueState& queue(uint32_t i) const { return at<QueueState>(at_.queues)[i]; }
  MOE_INLINE Link* links() const { return at<Link>(at_.links); }
  MOE_INLINE Link* second_links() const { return at<Link>(at_.second_links); }
  MOE_INLINE uint8_t* marks() const { return at<uint8_t>(at_.marks); }
  MOE_INLINE uint64_t* use_counts() const { return at<uint64_t>(at_.use_counts); }
  MOE_INLINE uint64_t& lots() const { return *at<uint64_t>(at_.lots); }
  MOE_INLINE uint64_t* bits(uint32_t i) const { return at<uint64_t>(at_.bits) + size_t{i} * key_words(p_); }
  MOE_INLINE double* foretold() const { return at<double>(at_.predict.foretold); }
  MOE_INLINE const PredictLayout& predict() const { return at_.predict; }
  MOE_INLINE uint32_t bit_words() const { return at_.bit_words; }

  /// First place of instance `i`, and the number of nodes before the rings' sentinels.
  MOE_INLINE uint32_t first_place(uint32_t i) const { return static_cast<uint32_t>(i * padded_capacity(p_)); }
  MOE_INLINE uint32_t sentinel(uint32_t i) const { return first_place(p_.num_instances()) + i; }
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
  const Layout at_;
};

/// A ring of places, oldest first.
class Ring {
 public:
  MOE_INLINE Ring(Link* links, uint32_t sentinel) : links_(links), sentinel_(sentinel) {}
  MOE_INLINE uint32_t end() const { return sentinel_; }
  MOE_INLINE uint32_t head() const { return links_[sentinel_].next; }
  MOE_INLINE uint32_t next(uint32_t place) const { return links_[place].next; }
  MOE_INLINE void clear() const { links_[sentinel_] = {sentinel_, sentinel_}; }
  MOE_INLINE void append(uint32_t place) const {
    const uint32_t tail = links_[sentinel_].prev;
    links_[place] = {tail, sentinel_};
    links_[tail].next = place;
    links_[sentinel_].prev = place;
  }
  MOE_INLINE void remove(uint32_t place) const {
    const Link link = links_[place];
    links_[link.prev].next = link.next;
    links_[link.next].prev = link.prev;
  }

 private:
  Link* links_;
  uint32_t sentinel_;
};

}  // namespace moe::decision
