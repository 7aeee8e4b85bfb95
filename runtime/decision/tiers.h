// SPDX-License-Identifier: Apache-2.0
// Tiers below the cache: which experts they hold, and in which precision the first one holds an expert.
// docs/semantics.md, "Tiers".
//
// The state of a tier: the order in which its experts were loaded or used, and what its rule keeps if it is one with
// queues. Both lie one after another for the tiers of all sets.
#pragma once
#include "runtime/base/math.h"
#include "runtime/decision/rules/segmented.h"
#include "runtime/decision/tier_calls.h"

namespace moe::decision {

/// One tier as a rule with queues sees an instance, which is its 0th.
class TierQueues {
 public:
  struct Constants {
    uint32_t keys;
    Room room;  ///< only capacity_varies, which is 0
    constexpr uint32_t num_keys() const { return keys; }
  };
  class Queues {
   public:
    MOE_INLINE Queues(const State& state, uint32_t tier) : state_(state), tier_(tier) {}
    MOE_INLINE QueueState& queue(uint32_t) const { return state_.tier_queue(tier_); }
    MOE_INLINE Link* links() const { return state_.tier_links(tier_); }
    MOE_INLINE Link* second_links() const { return state_.tier_second_links(tier_); }
    MOE_INLINE uint8_t* marks() const { return state_.tier_marks(tier_); }
    MOE_INLINE uint64_t* use_counts() const { return state_.tier_use_counts(tier_); }
    /// Of its members.
    MOE_INLINE uint32_t place_of(uint32_t key) const {
      return state_.tier_order(tier_)[key].prev == kNone ? kNone : key;
    }

   private:
    const State& state_;
    uint32_t tier_;
  };

  MOE_INLINE TierQueues(const Params& params, const State& state, uint32_t tier, uint32_t capacity)
      : p{params.num_keys(), {}}, s(state, tier), capacity_(capacity) {}
  MOE_INLINE uint32_t capacity(uint32_t) const { return capacity_; }

  Constants p;
  Queues s;

 private:
  uint32_t capacity_;
};

/// What the queues of a tier are told, and asked: the key of who leaves for `newcomer`.
inline void tell_tier(const Params& p, void* block, const TierSet& set, uint32_t tier, QueueEvent event, uint32_t key) {
  const State s(p, block);
  TierQueues queues(p, s, set.first_tier + tier, set.tiers[tier].capacity);
  with_queue_rule(set.eviction, [&](auto rule) { tell_rule(rule, queues, event, 0, key); });
}
inline uint32_t ask_tier(const Params& p, void* block, const TierSet& set, uint32_t tier, uint32_t newcomer) {
  const State s(p, block);
  TierQueues queues(p, s, set.first_tier + tier, set.tiers[tier].capacity);
  uint32_t found = kNone;
  with_queue_rule(set.eviction,
                  [&](auto rule) { found = rule.victim(queues, 0, newcomer, [](uint32_t) { return true; }); });
  return found;
}

/// The tiers of one layer, in a dispatch.
///
/// Cost  a load: the tiers, and a victim's search in each that is full: O(1), or for random and least(E) its experts.
class Tiers {
 public:
  /// The frame must outlive it. The layer must have tiers.
  MOE_INLINE Tiers(const Frame& frame, uint32_t layer)
      : frame_(frame), p_(*frame.params), s_(p_, frame.block), set_(*tier_set_of(p_, layer)) {}

  bool holds(uint32_t tier, uint32_t key) const {
    return set_.tiers[tier].holds_all != 0 || links(tier)[key].prev != kNone;
  }

  /// Whether a tier in GPU memory has a copy of lower precision.
  bool has_lower_copy(uint32_t key) const {
    for (uint32_t i = 1; i < set_.num_tiers; ++i) {
      if (set_.tiers[i].is_lower_copy != 0 && holds(i, key)) return true;
    }
    return false;
  }

  /// `key` enters the first tier, where it is not yet: in which precision, and from which tier.
  void load(uint32_t key) {
    if (set_.num_rungs != 0) {
      const uint32_t rung = rung_of(key, s_.place_of(key));
      s_.rungs()[key] = static_cast<uint8_t>(rung);
      note_copy(key, rung, 0);
    }
    uint32_t source = 1;
    while (source < set_.num_tiers && !holds(source, key)) ++source;
    if (source >= set_.num_tiers) return;
    if (is_at(source, TierLocation::disk) && set_.direct == 0) source = pass_host(key, source);
    if (set_.inclusive != 0) {
      touch(source, key);
    } else {
      take(source, key);
    }
  }

  /// `key` is there for this dispatch only.
  void pass_through(uint32_t key) {
    if (set_.num_rungs != 0) note_copy(key, rung_of(key, s_.place_of(key)), 0);
  }

  /// `key` left the first tier.
  void left(uint32_t key) {
    for (uint32_t j = 0; j < set_.num_rules; ++j) {
      const TierRule& rule = set_.rules[j];
      if (rule.site == kNone && rule.promote == 0 && rule.from == 0) put(rule.to, key, 0);
    }
  }

  void put(uint32_t tier, uint32_t key, uint32_t from) {
    const Tier& level = set_.tiers[tier];
    if (level.holds_all != 0 || level.capacity == 0) return;
    if (holds(tier, key)) return touch(tier, key);
    tell(tier, QueueEvent::miss, key);
    const KeyList order = list(tier);
    if (order.size() >= level.capacity) {
      const uint32_t victim = victim_of(tier, key);
      drop(tier, victim, /*as_victim=*/true);
      note_move(victim, tier, tier);
    }
    order.push_back(key);
    tell(tier, QueueEvent::insert, key);
    note_move(key, from, tier);
  }

  void take(uint32_t tier, uint32_t key) {
    if (set_.tiers[tier].holds_all != 0 || !holds(tier, key)) return;
    drop(tier, key, /*as_victim=*/false);
    note_move(key, tier, tier);
  }

  /// `key`, which is resident, goes up to a higher rung if the ladder says so now; down it does not go.
  void raise(uint32_t key, uint32_t place) {
    if (set_.num_rungs == 0) return;
    const uint32_t rung = rung_of(key, place);
    if (rung >= s_.rungs()[key]) return;
    s_.rungs()[key] = static_cast<uint8_t>(rung);
    note_copy(key, rung, 1);
  }

  bool asks(uint32_t site, uint32_t key) const { return evaluate(site, key) != 0; }

 private:
  MOE_INLINE Link* links(uint32_t tier) const { return s_.tier_order(set_.first_tier + tier); }
  MOE_INLINE KeyList list(uint32_t tier) const {
    return {links(tier), p_.num_keys(), s_.tier_size(set_.first_tier + tier)};
  }
  MOE_INLINE bool is_at(uint32_t tier, TierLocation location) const {
    return set_.tiers[tier].location == static_cast<uint32_t>(location);
  }
  double evaluate(uint32_t site, uint32_t key) const { return evaluate(site, key, s_.place_of(key)); }
  double evaluate(uint32_t site, uint32_t key, uint32_t place) const {
    return moe_evaluate(&frame_, p_.first_site + tier_site(p_, site), key, place, kNone);
  }

  /// The first rung whose threshold the value reaches; a NaN reaches none.
  uint32_t rung_of(uint32_t key, uint32_t place) const {
    const double value = evaluate(set_.ladder_site, key, place);
    uint32_t rung = 0;
    while (rung + 1 < set_.num_rungs && !(value >= set_.rungs[rung].at_least)) ++rung;
    return rung;
  }

  /// From the disk through the first host tier. Returns where the load comes from then.
  uint32_t pass_host(uint32_t key, uint32_t source) {
    for (uint32_t i = 1; i < source; ++i) {
      if (!is_at(i, TierLocation::host)) continue;
      put(i, key, source);
      if (set_.inclusive == 0) take(i, key);
      return i;
    }
    return source;
  }

  void touch(uint32_t tier, uint32_t key) {
    if (set_.tiers[tier].holds_all != 0 || !holds(tier, key)) return;
    tell(tier, QueueEvent::hit, key);
    if (set_.eviction != static_cast<uint32_t>(Eviction::fifo)) list(tier).move_to_back(key);
  }

  void drop(uint32_t tier, uint32_t key, bool as_victim) {
    list(tier).remove(key);
    tell(tier, as_victim ? QueueEvent::leave_as_victim : QueueEvent::leave, key);
  }

  void tell(uint32_t tier, QueueEvent event, uint32_t key) const {
    if (has_queues_of_its_own(set_.eviction)) moe_tiers_tell(&p_, frame_.block, &set_, tier, event, key);
  }

  /// Ties: the least recently loaded or used, which stands first.
  uint32_t victim_of(uint32_t tier, uint32_t newcomer) const {
    const KeyList order = list(tier);
    switch (static_cast<Eviction>(set_.eviction)) {
      case Eviction::lru:
      case Eviction::fifo:
        return order.begin();
      case Eviction::lfu:
        return smallest(order, [this](uint32_t key) { return s_.seen()[key]; });
      case Eviction::least:
        return smallest(order, [this](uint32_t key) {
          const double value = evaluate(set_.eviction_site, key);
          return value != value ? -math::kInfinity : value;
        });
      case Eviction::random: {
        uint32_t key = order.begin();
        for (uint32_t n = Lots<Stream::evictions>::below(s_.lots(), order.size()); n > 0; --n) key = order.next(key);
        return key;
      }
      default:
        return moe_tiers_ask(&p_, frame_.block, &set_, tier, newcomer);
    }
  }

  template <class ValueOf>
  static uint32_t smallest(const KeyList& order, ValueOf value_of) {
    uint32_t best = order.begin();
    double least = value_of(best);
    for (uint32_t key = order.next(best); key != order.end(); key = order.next(key)) {
      const double value = value_of(key);
      if (!(value < least)) continue;
      best = key;
      least = value;
    }
    return best;
  }

  void note_move(uint32_t key, uint32_t from, uint32_t to) const {
    if (frame_.output->moves == nullptr) return;
    frame_.output->moves[s_.header().num_moves++] = {key, from, to};
  }
  void note_copy(uint32_t key, uint32_t rung, uint32_t raised) const {
    if (frame_.output->copies == nullptr) return;
    frame_.output->copies[s_.header().num_copies++] = {key, set_.rungs[rung].dtype, raised};
  }

  const Frame& frame_;
  const Params& p_;
  const State s_;
  const TierSet& set_;
};

/// Before the first dispatch: the pins, then what is preloaded, enter the first tier one after another. Each sees those
/// before it as resident, and nothing else.
inline void start_tiers(const Params& p, void* block) {
  const State s(p, block);
  Input nothing{};
  nothing.phase = 1;
  const Output none{};
  ++s.header().epoch;  // nobody is selected
  const uint32_t last = p.scope_layer != 0 ? p.num_layers - 1 : 0;
  const Frame frame{&p, block, &nothing, &none, last, 0};
  const uint32_t all = p.num_pins + p.num_preload;
  const auto key_at = [&](uint32_t j) { return j < p.num_pins ? p.pins[j] : p.preload[j - p.num_pins]; };
  // Each is where it has been since init_state; only for those that come before it, it is not there.
  uint32_t* const places = s.start_places();
  for (uint32_t j = 0; j < all; ++j) {
    places[j] = s.place_of(key_at(j));
    s.place_of(key_at(j)) = kNone;
  }
  s.header().num_resident = 0;
  for (uint32_t j = 0; j < all; ++j) {
    const uint32_t layer = key_at(j) / p.num_experts;
    if (tier_set_of(p, layer) != nullptr) Tiers(frame, layer).load(key_at(j));
    s.place_of(key_at(j)) = places[j];
    ++s.header().num_resident;
  }
  s.header().tiers_started = 1;
}

}  // namespace moe::decision
