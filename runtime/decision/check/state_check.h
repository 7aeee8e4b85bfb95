// SPDX-License-Identifier: Apache-2.0
// The parts of find_violation() (invariants.h), one file each. The first violation that is noted stays.
#pragma once
#include "runtime/decision/check/invariants.h"
#include "runtime/decision/layout.h"

namespace moe::decision {

class StateCheck {
 public:
  /// `layer`: as find_violation() has it.
  StateCheck(const Params& params, const void* block, uint32_t layer)
      : p_(params), s_(params, const_cast<void*>(block)), layer_(layer) {}

  void check_places();  ///< the others trust it: they follow places and keys
  void check_orders();
  void check_queues();
  void check_tiers();
  void check_triggers();

  const Violation& found() const { return found_; }

 private:
  // An instance under the rules that it has installed.
  struct Installed {
    const Params& rules;
    uint32_t i;
    uint32_t capacity;
    uint32_t first_place;
    uint32_t first_key;
    uint32_t num_keys;
    Eviction eviction() const { return static_cast<Eviction>(rules.eviction); }
  };
  Installed installed(uint32_t i) const;
  template <class Use>
  void each_instance(Use use) {
    for (uint32_t i = 0; i < p_.num_instances() && !found_; ++i) use(installed(i));
  }
  bool has_resident(uint32_t place) const { return s_.resident(place).key != kNone; }
  bool is_pinned(uint32_t place) const { return (s_.resident(place).flags & kPinned) != 0; }

  void expect(bool holds, Invariant what, uint32_t key) {
    if (holds || found_) return;
    const bool is_key = key < p_.num_keys();
    found_ = {what, is_key ? key / p_.num_experts : kNone, is_key ? key % p_.num_experts : kNone};
  }
  /// Of the whole instance.
  void expect_of(bool holds, Invariant what, uint32_t i) {
    if (!holds && !found_) found_ = {what, p_.scope_layer != 0 ? i : kNone, kNone};
  }

  void check_place(const Installed& in, uint32_t place);
  void check_free(const Installed& in, uint32_t num_resident);
  void check_pins();
  void check_layer_slots();
  void check_flags();
  void check_ring(const Installed& in, const Link* links, Invariant what, bool by_last_use);
  void check_ranks(const Installed& in);
  void check_window(const Installed& in);
  void check_side_buffer();
  void check_ghosts(const Installed& in);
  void check_segments(const Installed& in);
  void check_draw(const Installed& in);
  bool all_pinned(uint32_t first, uint32_t end) const;

  // Queues of the cache, of a segment or of a tier.
  struct Queues {
    Link* links;
    Link* second_links;
    const uint8_t* marks;
    const uint64_t* use_counts;
    const QueueState& state;
    uint32_t capacity;
    uint32_t first_key;
    uint32_t end_key;
    uint32_t first_list;  ///< the sentinel of the first
    uint32_t num_members;
    /// Members may have left as victims since the last one entered: a smaller capacity, a hit in b. Ghosts are counted
    /// again when somebody enters.
    bool may_wait_for_entry;
  };
  template <class IsMember>
  void check_queue_rule(uint32_t rule, const Queues& q, IsMember is_member);
  template <class IsMember>
  void check_sieve(const Queues& q, IsMember is_member);
  template <class IsMember>
  void check_s3_fifo(const Queues& q, IsMember is_member);
  template <class IsMember>
  void check_arc(const Queues& q, IsMember is_member);
  template <class IsMember>
  void check_lirs(const Queues& q, IsMember is_member);
  template <class IsMember>
  void check_w_tinylfu(const Queues& q, IsMember is_member);
  template <class Visit>
  uint32_t walk(const Link* links, uint32_t sentinel, uint32_t first, uint32_t end, Invariant what, Visit visit);
  template <class Visit>
  void check_list(const Queues& q, uint32_t list, Visit visit);
  template <class Belongs>
  void check_tier(const TierSet& set, uint32_t tier, Belongs belongs);

  const Params& p_;
  const State s_;
  const uint32_t layer_;
  Violation found_;
};

/// Follows the ring through `sentinel`, whose nodes are `first` up to `end`; shows each node and returns how many there
/// are. Ends on any links: a node that comes up twice would need two predecessors.
template <class Visit>
uint32_t StateCheck::walk(const Link* links, uint32_t sentinel, uint32_t first, uint32_t end, Invariant what,
                          Visit visit) {
  uint32_t n = 0;
  uint32_t before = sentinel;
  uint32_t at = links[sentinel].next;
  for (; at != sentinel && !found_; before = at, at = links[at].next, ++n) {
    const bool leads_back = at >= first && at < end && links[at].prev == before;
    expect(leads_back, what, before != sentinel ? before : at);
    if (leads_back) visit(at);
  }
  if (!found_) expect(links[sentinel].prev == before, what, before);
  return n;
}

}  // namespace moe::decision
