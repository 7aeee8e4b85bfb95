// SPDX-License-Identifier: Apache-2.0
// Invariants of what is kept of residents beside their places: rings, ranks, tags, windows, flags.
#include <initializer_list>

#include "runtime/decision/check/state_check.h"

namespace moe::decision {
namespace {

bool is_any(Eviction rule, std::initializer_list<Eviction> of) {
  for (const Eviction one : of) {
    if (rule == one) return true;
  }
  return false;
}

/// Of a key: counts with these weights are equal only if they are of the same keys.
uint64_t weight_of(uint32_t key) { return (uint64_t{key} + 1) * 0x9E3779B97F4A7C15u | 1; }

}  // namespace

void StateCheck::check_ring(const Installed& in, const Link* links, Invariant what, bool by_last_use) {
  uint64_t last_use = 0, load = 0;
  const uint32_t end = in.first_place + p_.max_capacity();
  const uint32_t n = walk(links, s_.sentinel(in.i), in.first_place, end, what, [&](uint32_t place) {
    const Resident& r = s_.resident(place);
    expect_of(has_resident(place), what, in.i);
    if (found_) return;
    const bool later = by_last_use && r.last_use != last_use ? r.last_use > last_use : r.load > load;
    expect(!is_pinned(place) && later, what, r.key);
    last_use = r.last_use;
    load = r.load;
  });
  uint32_t unpinned = 0;
  for (uint32_t place = in.first_place; place < end; ++place) unpinned += has_resident(place) && !is_pinned(place);
  expect_of(n == unpinned, what, in.i);
}

void StateCheck::check_ranks(const Installed& in) {
  const bool ranked = is_any(in.eviction(), {Eviction::lfu, Eviction::score});
  const uint32_t padded = static_cast<uint32_t>(padded_capacity(p_));
  for (uint32_t place = in.first_place; place < in.first_place + padded && !found_; ++place) {
    const Resident& r = s_.resident(place);
    const bool is_candidate = has_resident(place) && !is_pinned(place);
    const bool has_one = s_.rank()[place] != kNeverVictim;
    if (ranked && has_resident(place)) expect(has_one == is_candidate, Invariant::ranks, r.key);
    if (ranked && !has_resident(place)) expect_of(!has_one, Invariant::ranks, in.i);
    const uint64_t tag = r.load << 28 | (place - in.first_place);
    if (has_resident(place)) expect(s_.tag()[place] == tag, Invariant::tags, r.key);
  }
}

void StateCheck::check_window(const Installed& in) {
  const uint64_t accesses = s_.instance(in.i).accesses;
  const uint64_t length = accesses < in.rules.freq_window ? accesses : in.rules.freq_window;
  const uint32_t* const ring = s_.ring(in.i);
  uint64_t in_window = 0, counted = 0, sum = 0;
  for (uint64_t j = 0; j < length; ++j) in_window += weight_of(ring[(accesses - 1 - j) % max_freq_window(p_)]);
  for (uint32_t key = in.first_key; key < in.first_key + in.num_keys; ++key) {
    expect(s_.counts()[key] <= length, Invariant::window, key);
    counted += s_.counts()[key] * weight_of(key);
    sum += s_.counts()[key];
  }
  expect_of(sum == length && counted == in_window, Invariant::window, in.i);
}

void StateCheck::check_flags() {
  uint32_t exempt = 0, arriving = 0;
  for (uint32_t place = 0; place < s_.nobodys_place(); ++place) {
    if (!has_resident(place)) continue;
    const Resident& r = s_.resident(place);
    exempt += (r.flags & kExempt) != 0;
    arriving += has_arrival(p_) && s_.arrives()[place] > s_.layer_dispatches()[r.key / p_.num_experts];
  }
  if (has_window(p_)) expect(exempt == s_.header().num_exempt, Invariant::exempt, kNone);
  if (has_arrival(p_)) expect(arriving == s_.header().num_arriving, Invariant::arriving, kNone);
}

void StateCheck::check_side_buffer() {
  for (uint32_t key = 0; has_side_buffer(p_) && key < p_.num_keys() && !found_; ++key) {
    const uint8_t aside = s_.aside()[key];
    expect(aside == 0 || (aside == 1 && s_.place_of(key) == kNone), Invariant::side_buffer, key);
  }
}

void StateCheck::check_ghosts(const Installed& in) {
  const uint32_t n = s_.num_ghosts(in.i);
  expect_of(n <= per_layer_of(p_)->max_capacity, Invariant::ghosts, in.i);
  for (uint32_t j = 0; j < n && !found_; ++j) {
    const uint32_t key = s_.ghosts(in.i)[j];
    expect_of(key >= in.first_key && key < in.first_key + in.num_keys, Invariant::ghosts, in.i);
  }
}

void StateCheck::check_orders() {
  each_instance([&](const Installed& in) {
    const Eviction rule = in.eviction();
    const bool is_lru = rule == Eviction::lru;
    if (is_any(rule, {Eviction::lru, Eviction::fifo})) check_ring(in, s_.order(), Invariant::order, is_lru);
    const bool keeps_recency = has_ttl(p_) && !is_lru && rule != Eviction::segmented;
    if (keeps_recency) check_ring(in, s_.recency(), Invariant::recency, /*by_last_use=*/true);
    if (is_any(rule, {Eviction::lfu, Eviction::score, Eviction::least})) check_ranks(in);
    if (has_window(p_)) check_window(in);
    if (counts_depth(p_)) check_ghosts(in);
  });
  check_flags();
  check_side_buffer();
}

}  // namespace moe::decision
