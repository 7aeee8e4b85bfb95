// SPDX-License-Identifier: Apache-2.0
// Invariants of the rules with queues of their own, of the cache, of segments and of tiers; each rule's own are at its
// class in rules/*.h.
#include "runtime/decision/check/state_check.h"
#include "runtime/decision/rules/random.h"
#include "runtime/decision/tiers.h"

namespace moe::decision {

/// The list's keys, each once, and as many as it counts.
template <class Visit>
void StateCheck::check_list(const Queues& q, uint32_t list, Visit visit) {
  const uint32_t n = walk(q.links, q.first_list + list, q.first_key, q.end_key, Invariant::queues, visit);
  expect(n == q.state.size[list], Invariant::queues, q.first_key);
}

template <class IsMember>
void StateCheck::check_sieve(const Queues& q, IsMember is_member) {
  bool hand_stands = q.state.hand == q.first_list;
  check_list(q, 0, [&](uint32_t key) {
    expect(is_member(key), Invariant::members, key);
    expect(q.marks[key] <= 1, Invariant::marks, key);
    hand_stands |= q.state.hand == key;
  });
  expect(q.state.size[0] == q.num_members, Invariant::members, q.first_key);
  expect(hand_stands, Invariant::marks, q.first_key);
}

template <class IsMember>
void StateCheck::check_s3_fifo(const Queues& q, IsMember is_member) {
  constexpr uint8_t kMarks[] = {S3Fifo::kInSmall, S3Fifo::kInMain, S3Fifo::kInGhost};
  for (uint32_t list = 0; list < 3; ++list) {
    check_list(q, list, [&](uint32_t key) {
      expect(is_member(key) == (list != S3Fifo::kGhost), Invariant::members, key);
      expect((q.marks[key] & ~S3Fifo::kHits) == kMarks[list], Invariant::marks, key);
    });
  }
  const uint32_t* const size = q.state.size;
  expect(size[S3Fifo::kSmall] + size[S3Fifo::kMain] == q.num_members, Invariant::members, q.first_key);
  const uint32_t main_capacity = q.capacity - smaller(q.capacity, share_of(q.capacity, 10));
  const uint32_t most = q.may_wait_for_entry ? q.end_key - q.first_key : main_capacity;
  expect(size[S3Fifo::kGhost] <= most, Invariant::bounds, q.first_key);
}

template <class IsMember>
void StateCheck::check_arc(const Queues& q, IsMember is_member) {
  for (uint32_t list = 0; list < 4; ++list) {
    check_list(q, list, [&](uint32_t key) {
      expect(is_member(key) == (list <= Arc::kAgain), Invariant::members, key);
      expect(q.marks[key] == 1 + list, Invariant::marks, key);
    });
  }
  const uint32_t* const size = q.state.size;
  const uint64_t once = uint64_t{size[Arc::kOnce]} + size[Arc::kOnceGhosts];
  const uint64_t again = uint64_t{size[Arc::kAgain]} + size[Arc::kAgainGhosts];
  expect(size[Arc::kOnce] + size[Arc::kAgain] == q.num_members, Invariant::members, q.first_key);
  expect(size[Arc::kOnceGhosts] == 0 || once <= q.capacity, Invariant::bounds, q.first_key);
  const bool few = once + again <= uint64_t{2} * q.capacity;
  expect(size[Arc::kAgainGhosts] == 0 || few, Invariant::bounds, q.first_key);
  expect(q.state.target >= 0 && q.state.target <= q.capacity, Invariant::bounds, q.first_key);
}

template <class IsMember>
void StateCheck::check_lirs(const Queues& q, IsMember is_member) {
  const auto second = [&](uint32_t list, auto visit) {
    const uint32_t n = walk(q.second_links, q.first_list + list, q.first_key, q.end_key, Invariant::queues, visit);
    expect(n == q.state.size[list], Invariant::queues, q.first_key);
  };
  second(Lirs::kHir, [&](uint32_t key) { expect(is_member(key), Invariant::members, key); });
  second(Lirs::kGone, [&](uint32_t key) {
    const bool in_stack = q.links[key].prev != kNone;
    expect(!is_member(key) && in_stack, Invariant::members, key);
  });
  uint32_t num_lir = 0;
  check_list(q, Lirs::kStack, [&](uint32_t key) {
    if (q.second_links[key].prev != kNone) return;
    ++num_lir;
    expect(is_member(key), Invariant::members, key);
  });
  expect(num_lir == q.state.num_lir, Invariant::queues, q.first_key);
  expect(num_lir + q.state.size[Lirs::kHir] == q.num_members, Invariant::members, q.first_key);
  const uint32_t bottom = q.links[q.first_list + Lirs::kStack].next;
  const bool is_empty = bottom == q.first_list + Lirs::kStack;
  if (!found_) expect(is_empty || q.second_links[bottom].prev == kNone, Invariant::bounds, bottom);
  expect(num_lir <= q.capacity - smaller(q.capacity, share_of(q.capacity, 1)), Invariant::bounds, q.first_key);
  const bool is_short = q.state.size[Lirs::kStack] <= uint64_t{2} * q.capacity;
  expect(is_short || q.state.size[Lirs::kGone] == 0, Invariant::bounds, q.first_key);
}

template <class IsMember>
void StateCheck::check_w_tinylfu(const Queues& q, IsMember is_member) {
  for (uint32_t list = 0; list < 3; ++list) {
    check_list(q, list, [&](uint32_t key) {
      expect(is_member(key), Invariant::members, key);
      expect((q.use_counts[key] >> 4 & 15) == 1 + list, Invariant::marks, key);
    });
  }
  const uint32_t* const size = q.state.size;
  const uint32_t all = size[WTinyLfu::kWindow] + size[WTinyLfu::kProbation] + size[WTinyLfu::kProtected];
  expect(all == q.num_members, Invariant::members, q.first_key);
  const uint32_t main_capacity = q.capacity - smaller(q.capacity, share_of(q.capacity, 1));
  expect(size[WTinyLfu::kProtected] <= share_of(main_capacity, 80), Invariant::bounds, q.first_key);
  expect(q.state.accesses < WTinyLfu::kAccessesPerPlace * q.capacity || q.capacity == 0, Invariant::bounds,
         q.first_key);
}

template <class IsMember>
void StateCheck::check_queue_rule(uint32_t rule, const Queues& q, IsMember is_member) {
  switch (static_cast<Eviction>(rule)) {
    case Eviction::sieve:
      return check_sieve(q, is_member);
    case Eviction::s3_fifo:
      return check_s3_fifo(q, is_member);
    case Eviction::arc:
      return check_arc(q, is_member);
    case Eviction::lirs:
      return check_lirs(q, is_member);
    case Eviction::w_tinylfu:
      return check_w_tinylfu(q, is_member);
    default:
      return;
  }
}

void StateCheck::check_draw(const Installed& in) {
  for (uint32_t j = 0; j < key_words(p_) * 64 && !found_; ++j) {
    const bool is_drawn = (s_.bits(in.i)[j / 64] >> (j % 64) & 1) != 0;
    const uint32_t key = in.first_key + j;
    const uint32_t place = j < in.num_keys ? s_.place_of(key) : kNone;
    const bool is_candidate = place != kNone && !is_pinned(place);
    expect(is_drawn == is_candidate, Invariant::members, j < in.num_keys ? key : in.first_key);
  }
}

void StateCheck::check_segments(const Installed& in) {
  uint32_t held[2] = {0, 0};
  for (uint32_t place = in.first_place; place < in.first_place + p_.max_capacity() && !found_; ++place) {
    if (!has_resident(place)) continue;
    const uint32_t key = s_.resident(place).key;
    expect(s_.segments()[key] < 2, Invariant::segments, key);
    if (!found_) ++held[s_.segments()[key]];
  }
  for (uint32_t segment = 0; segment < 2 && !found_; ++segment) {
    const uint32_t share = segment_capacity(s_.instance(in.i).capacity, segment);
    expect_of(held[segment] == s_.instance(in.i).in_segment[segment], Invariant::segments, in.i);
    expect_of(segment == 1 || held[0] <= share, Invariant::segments, in.i);
    const auto is_member = [&](uint32_t key) { return s_.place_of(key) != kNone && s_.segments()[key] == segment; };
    if (!has_queues_of_its_own(in.rules.segments[segment])) continue;
    const Segment view(p_, s_, segment, share);
    check_queue_rule(
        in.rules.segments[segment],
        {view.s.links(), view.s.second_links(), view.s.marks(), view.s.use_counts(), view.s.queue(in.i), share,
         in.first_key, in.first_key + in.num_keys, p_.num_keys() + in.i * kMaxLists, held[segment], true},
        is_member);
  }
}

void StateCheck::check_queues() {
  each_instance([&](const Installed& in) {
    if (in.eviction() == Eviction::random) return check_draw(in);
    if (in.eviction() == Eviction::segmented) return check_segments(in);
    if (!has_queues_of_its_own(in.rules.eviction)) return;
    const auto num_members = static_cast<uint32_t>(static_cast<int64_t>(in.capacity) - s_.instance(in.i).num_free);
    check_queue_rule(
        in.rules.eviction,
        {s_.links(), s_.second_links(), s_.marks(), s_.use_counts(), s_.queue(in.i), in.capacity, in.first_key,
         in.first_key + in.num_keys, p_.num_keys() + in.i * kMaxLists, num_members, in.rules.room.capacity_varies != 0},
        [&](uint32_t key) { return s_.place_of(key) != kNone; });
  });
}

template <class Belongs>
void StateCheck::check_tier(const TierSet& set, uint32_t tier, Belongs belongs) {
  const uint32_t number = set.first_tier + tier;
  const uint32_t capacity = set.tiers[tier].capacity;
  const Link* const order = s_.tier_order(number);
  const uint32_t n = walk(order, p_.num_keys(), 0, p_.num_keys(), Invariant::tiers,
                          [&](uint32_t key) { expect(belongs(key), Invariant::tiers, key); });
  uint32_t linked = 0;
  for (uint32_t key = 0; key < p_.num_keys(); ++key) linked += order[key].prev != kNone;
  expect(n == s_.tier_size(number) && n == linked, Invariant::tiers, kNone);
  expect(n <= capacity, Invariant::tier_capacity, kNone);
  if (!has_queues_of_its_own(set.eviction)) return;
  const TierQueues view(p_, s_, number, capacity);
  check_queue_rule(set.eviction,
                   {view.s.links(), view.s.second_links(), view.s.marks(), view.s.use_counts(), view.s.queue(0),
                    capacity, 0, p_.num_keys(), p_.num_keys(), n, false},
                   [&](uint32_t key) { return order[key].prev != kNone; });
}

void StateCheck::check_tiers() {
  if (!has_tiers(p_) || s_.header().tiers_started == 0) return;
  for (uint32_t which = 0; which < p_.num_tier_sets && !found_; ++which) {
    const TierSet& set = p_.tier_sets[which];
    const auto belongs = [&](uint32_t key) { return p_.tier_set_of_layer[key / p_.num_experts] == which; };
    for (uint32_t tier = 1; tier < set.num_tiers && !found_; ++tier) {
      if (set.tiers[tier].holds_all == 0) check_tier(set, tier, belongs);
    }
    for (uint32_t key = 0; set.num_rungs != 0 && key < p_.num_keys() && !found_; ++key) {
      if (!belongs(key) || s_.place_of(key) == kNone) continue;
      expect(s_.rungs()[key] < set.num_rungs, Invariant::rungs, key);
    }
  }
}

}  // namespace moe::decision
