// SPDX-License-Identifier: Apache-2.0
#include "runtime/decision/state.h"

#include <algorithm>
#include <cstring>

#include "runtime/decision/check/invariants.h"
#include "runtime/decision/kernel.h"

namespace moe::decision {
namespace {

State state_of(const Params& params, const void* block) { return {params, const_cast<void*>(block)}; }

// Not of ResidentFlags: it is there from the start, and may leave; under a | b it comes into the second segment.
constexpr uint32_t kPreloaded = 1u << 31;
constexpr uint32_t kIntoSecond = 1u << 30;

/// A resident as it comes into a fresh state: rings and ranks included. The place must be free.
template <class Rule>
void settle_in(const Params& p, void* block, const Resident& from, uint32_t instance, double freq, uint32_t flags) {
  Output none{};
  Input in{};
  Context<Rule> ctx(p, block, in, none);
  const uint32_t place = ctx.take_place(instance);
  ctx.occupy(instance, place, from.key, 0, from.ema);
  Resident& r = ctx.s.resident(place);
  r.uses = from.uses;
  r.flags = flags & kPinned;
  if (keeps(p, kKeepsFreq)) ctx.s.freq()[place] = freq;
  if constexpr (Rule::kSegmented) {
    if ((flags & kIntoSecond) != 0)
      Rule::insert_into(ctx, instance, from.key, 1);
    else
      Rule::insert(ctx, instance, from.key);
  } else if constexpr (Rule::kQueue) {
    Rule::insert(ctx, instance, from.key);
  }
  if (flags & kPinned) return;
  ctx.join_rings(instance, place);
  if constexpr (Rule::kThreshold) {
    if ((flags & kPreloaded) == 0) ctx.exempt(place);
  }
  if constexpr (Rule::kRanked) ctx.s.rank()[place] = Rule::rank_of_resident(freq, from.ema);
}

/// Calls `use` with the rule of `params`; `otherwise` when there is none.
template <class Use, class Result>
Result with_rule(const Params& params, Result otherwise, Use use) {
  switch (static_cast<Eviction>(params.eviction)) {
    case Eviction::lru:
      return use(Lru{});
    case Eviction::fifo:
      return use(Fifo{});
    case Eviction::lfu:
      return use(Lfu{});
    case Eviction::score:
      return use(Score{});
    case Eviction::freq_threshold:
      return use(FreqThreshold{});
    case Eviction::sieve:
      return use(Sieve{});
    case Eviction::s3_fifo:
      return use(S3Fifo{});
    case Eviction::arc:
      return use(Arc{});
    case Eviction::lirs:
      return use(Lirs{});
    case Eviction::w_tinylfu:
      return use(WTinyLfu{});
    case Eviction::random:
      return use(Random{});
    case Eviction::least:
      return use(Least{});
    case Eviction::segmented:
      return use(Segmented{});
    default:
      return otherwise;
  }
}

void settle_in(const Params& p, void* block, const Resident& from, uint32_t instance, double freq, uint32_t flags) {
  with_rule(p, 0, [&](auto rule) {
    settle_in<decltype(rule)>(p, block, from, instance, freq, flags);
    return 0;
  });
}

/// The constants that instance `i` has installed.
const Params& installed(const Params& params, const State& s, uint32_t i) {
  return params.changes == nullptr ? params : params.changes->variants[s.instance(i).variant];
}

/// Places of all residents, least recently used first. Accesses of different instances are compared by age.
uint32_t by_last_use(const State& s, const Params& p, uint32_t* places) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < p.num_instances(); ++i) {
    for (uint32_t j = 0; j < p.max_capacity(); ++j) {
      if (s.resident(s.first_place(i) + j).key != kNone) places[n++] = s.first_place(i) + j;
    }
  }
  auto age = [&s](uint32_t place) {
    return s.instance(s.instance_of_place(place)).accesses - s.resident(place).last_use;
  };
  std::sort(places, places + n, [&](uint32_t a, uint32_t b) {
    if (age(a) != age(b)) return age(a) > age(b);
    return s.resident(a).load < s.resident(b).load;
  });
  return n;
}

/// Whether the next of `coming` residents, oldest first, goes to b of a | b: a holds what was used last.
bool holds_older(const Params& p, void* block, uint32_t i, uint32_t coming) {
  if (!is_segmented(p)) return false;
  Output none{};
  Input in{};
  const Context<Segmented> ctx(p, block, in, none);
  return ctx.s.instance(i).in_segment[0] + coming > Segmented::capacity(ctx, i, 0);
}

double carried_freq(const Params& p, const State& s, uint32_t place) {
  const Resident& r = s.resident(place);
  const Params& rules = installed(p, s, s.instance_of_place(place));
  const bool kept = rules.eviction == static_cast<uint32_t>(Eviction::lfu) && s.rank()[place] != kNeverVictim;
  return kept ? value_of(s.rank()[place]) : static_cast<double>(r.uses);
}

}  // namespace

size_t state_bytes(const Params& params) { return make_layout(params).total; }

namespace {

/// An empty instance under the rules that hold at start.
void init_instance(const Params& params, const State& s, uint32_t i) {
  const uint32_t first = s.first_place(i);
  const uint32_t padded = static_cast<uint32_t>(padded_capacity(params));
  for (uint32_t j = 0; j < padded; ++j) {
    s.resident(first + j).key = kNone;
    if (has_rank(params)) s.rank()[first + j] = kNeverVictim;
  }
  constexpr uint32_t kDecode = 1;
  Instance& instance = s.instance(i);
  if (params.changes != nullptr) {
    instance.variant = variant_of(*params.changes, s.header(), kDecode, params.scope_layer != 0 ? i : 0);
  }
  const PerLayer* const shared = per_layer_of(params);
  instance.capacity = shared != nullptr ? shared->at_start[i] : installed(params, s, i).capacity;
  instance.num_free = static_cast<int32_t>(instance.capacity);
  // Popped from the end: the first load takes the first place.
  const uint32_t places = params.max_capacity();
  for (uint32_t j = 0; j < places; ++j) s.free_places(i)[j] = first + places - 1 - j;
  const auto init_ring = [&](Link* links) {
    const Ring ring(links, s.sentinel(i));
    ring.clear();
    for (uint32_t j = 0; j < padded; ++j) ring.leave_out(first + j);
    ring.leave_out(s.nobodys_place());
  };
  if (has_order(params)) init_ring(s.order());
  if (has_recency(params)) init_ring(s.recency());
  if (has_queues(params)) clear_queues(params, s, i);
}

/// Empty, but for the lowest, which holds all without keeping a list.
void init_tiers(const Params& p, const State& s) {
  const uint32_t keys = p.num_keys();
  for (uint32_t tier = 0; tier < p.num_tiers; ++tier) {
    Link* const order = s.tier_order(tier);
    std::fill_n(order, keys, Link{kNone, kNone});
    order[keys] = {keys, keys};
    if (!has_tier_queues(p)) continue;
    s.tier_queue(tier).hand = keys;
    for (Link* const links : {s.tier_links(tier), s.tier_second_links(tier)}) {
      std::fill_n(links, keys, Link{kNone, kNone});
      for (uint32_t list = keys; list < keys + kMaxLists; ++list) links[list] = {list, list};
    }
  }
}

void init_block(const Params& params, void* block, bool preload) {
  std::memset(block, 0, state_bytes(params));
  const State s = state_of(params, block);
  std::fill_n(&s.place_of(0), params.num_keys(), kNone);
  for (uint32_t i = 0; i < params.num_instances(); ++i) init_instance(params, s, i);
  init_tiers(params, s);
  if (draws_lots(params)) s.lots() = Random::start(params.seed);
  if (has_learner(params)) Learner(params, s).init();
  if (params.changes != nullptr) s.header().arm_lots = Lots<Stream::arms>::start(params.changes->seed);
  for (uint32_t layer = 0; history_varies(params) && layer < params.num_layers; ++layer) {
    s.history_counted(layer) = max_history_window(params);
  }
  const auto load = [&](uint32_t key, uint32_t flags) {
    const uint32_t i = s.instance_of_layer(key / params.num_experts);
    settle_in(installed(params, s, i), block, {key, 0, 0, 0, 0, 0.0}, i, 0.0, flags);
  };
  for (uint32_t j = 0; j < params.num_pins; ++j) load(params.pins[j], kPinned);
  for (uint32_t j = 0; preload && j < params.num_preload; ++j) load(params.preload[j], kPreloaded);
}

}  // namespace

void init_state(const Params& params, void* block) { init_block(params, block, /*preload=*/true); }

uint32_t adopt_state(const Params& old_params, const void* old_state, const Params& new_params, void* new_state,
                     uint32_t* left) {
  if (new_params.num_preload != 0) init_block(new_params, new_state, /*preload=*/false);  // the cache is warm already
  const State from = state_of(old_params, old_state);
  const State to = state_of(new_params, new_state);
  // `left` holds the sorted places first; keys that leave overwrite those already read.
  const uint32_t n = by_last_use(from, old_params, left);
  auto instance_of = [&](uint32_t key) { return to.instance_of_layer(key / new_params.num_experts); };
  for (uint32_t j = 0; j < n; ++j) {
    const uint32_t key = from.resident(left[j]).key;
    if (to.place_of(key) == kNone) ++to.instance(instance_of(key)).reserved;
  }
  uint32_t num_left = 0;
  for (uint32_t j = 0; j < n; ++j) {
    const uint32_t place = left[j];
    const Resident& r = from.resident(place);
    if (to.place_of(r.key) != kNone) continue;  // pinned by the new policy
    Instance& instance = to.instance(instance_of(r.key));
    const uint32_t coming = instance.reserved--;
    if (static_cast<int64_t>(coming) <= instance.num_free) {
      const Params& rules = installed(new_params, to, instance_of(r.key));
      const uint32_t flags = holds_older(rules, new_state, instance_of(r.key), coming) ? kIntoSecond : 0;
      settle_in(rules, new_state, r, instance_of(r.key), carried_freq(old_params, from, place), flags);
    } else {
      left[num_left++] = r.key;
    }
  }
  return num_left;
}

bool tier_holds(const Params& params, void* state, uint32_t tier, uint32_t key) {
  const TierSet* const set = tier_set_of(params, key / params.num_experts);
  if (set == nullptr || tier == 0 || tier >= set->num_tiers) return false;
  if (set->tiers[tier].holds_all != 0) return true;
  return State(params, state).tier_order(set->first_tier + tier)[key].prev != kNone;
}

Dtype dtype_of_resident(const Params& params, const void* state, uint32_t key) {
  if (params.num_tier_sets == 0) return Dtype::as_stored;
  const TierSet* const set = tier_set_of(params, key / params.num_experts);
  if (set == nullptr) return Dtype::as_stored;
  const uint32_t dtype =
      set->num_rungs == 0 ? set->tiers[0].dtype : set->rungs[state_of(params, state).rungs()[key]].dtype;
  return static_cast<Dtype>(dtype);
}

/// What each of the last dispatches fetched for the layers ahead of it waits until its layer's turn.
uint32_t side_places(const Params& params) {
  if (!has_side_buffer(params)) return 0;
  const uint64_t places = uint64_t{params.max_budget()} * max_reach(params);
  return static_cast<uint32_t>(std::min<uint64_t>(places, params.num_keys()));
}

const uint32_t* places(const Params& params, const void* state) { return &state_of(params, state).place_of(0); }

namespace {

const char* beyond_engines_of(const Params& p) {
  for (uint32_t i = 0; i < p.num_tier_sets; ++i) {
    if (p.tier_sets[i].elsewhere != 0) return "path of a tier";
  }
  return nullptr;
}

}  // namespace

const char* beyond_engines(const Params& params) {
  if (params.changes == nullptr) return beyond_engines_of(params);
  for (uint32_t i = 0; i < params.changes->num_variants; ++i) {
    if (const char* clause = beyond_engines_of(params.changes->variants[i])) return clause;
  }
  return nullptr;
}

const Params& in_force(const Params& params, const void* state) {
  if (params.changes == nullptr) return params;
  return params.changes->variants[static_cast<const Header*>(state)->variant];
}

uint32_t static_dispatch(const Params& params, void* state, const Input* input, Output* output) {
  if (has_sites(params) || needs_tables(params) || is_beyond_static(params)) return kInvalid;
  const uint32_t status = with_rule(params, uint32_t{kInvalid}, [&](auto rule) {
    if constexpr (decltype(rule)::kSegmented)
      return uint32_t{kInvalid};
    else
      return dispatch<decltype(rule)>(params, state, *input, *output);
  });
  return checked(params, state, *input, status);
}

}  // namespace moe::decision
