// SPDX-License-Identifier: Apache-2.0
#include "runtime/decision/check/invariants.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "runtime/decision/check/state_check.h"
#include "runtime/decision/state.h"

namespace moe::decision {
namespace {

/// Of a set: two sets are the same if their sums and their sizes are, but for one chance in 2^64.
uint64_t fingerprint(uint32_t of) {
  uint64_t x = of * 0x9E3779B97F4A7C15u + 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

}  // namespace

StateCheck::Installed StateCheck::installed(uint32_t i) const {
  const Params& rules = p_.changes == nullptr ? p_ : p_.changes->variants[s_.instance(i).variant];
  const uint32_t keys = p_.num_keys() / p_.num_instances();
  const uint32_t capacity = rules.room.capacity_varies != 0 ? s_.instance(i).capacity : rules.capacity;
  return {rules, i, capacity, s_.first_place(i), i * keys, keys};
}

bool StateCheck::all_pinned(uint32_t first, uint32_t end) const {
  for (uint32_t place = first; place < end; ++place) {
    if (has_resident(place) && !is_pinned(place)) return false;
  }
  return true;
}

void StateCheck::check_place(const Installed& in, uint32_t place) {
  const Resident& r = s_.resident(place);
  const bool is_of_instance = r.key >= in.first_key && r.key < in.first_key + in.num_keys;
  const bool exists = place < in.first_place + p_.max_capacity();
  expect(is_of_instance && exists && s_.place_of(r.key) == place, Invariant::places, r.key);
  if (found_) return;
  expect(r.load != 0 && r.load <= s_.header().load_counter, Invariant::counters, r.key);
  expect(r.last_use <= s_.instance(in.i).accesses, Invariant::counters, r.key);
}

void StateCheck::check_free(const Installed& in, uint32_t num_resident) {
  const Instance& instance = s_.instance(in.i);
  const auto free = static_cast<int64_t>(in.capacity) - num_resident;
  expect_of(instance.num_free == free, Invariant::counters, in.i);
  const uint32_t end = in.first_place + p_.max_capacity();
  uint64_t listed = 0, empty = 0;
  for (uint32_t place = in.first_place; place < end; ++place) empty += has_resident(place) ? 0 : fingerprint(place);
  for (uint32_t j = 0; j < p_.max_capacity() - num_resident && !found_; ++j) {
    const uint32_t place = s_.free_places(in.i)[j];
    const bool is_free = place >= in.first_place && place < end && !has_resident(place);
    expect_of(is_free, Invariant::free_places, in.i);
    listed += fingerprint(place);
  }
  expect_of(listed == empty, Invariant::free_places, in.i);
}

void StateCheck::check_pins() {
  uint32_t flagged = 0;
  each_instance([&](const Installed& in) {
    for (uint32_t place = in.first_place; place < in.first_place + p_.max_capacity(); ++place) {
      if (!has_resident(place) || !is_pinned(place)) continue;
      ++flagged;
      const uint32_t key = s_.resident(place).key;
      expect(std::find(p_.pins, p_.pins + p_.num_pins, key) != p_.pins + p_.num_pins, Invariant::pins, key);
    }
  });
  for (uint32_t j = 0; j < p_.num_pins && !found_; ++j) {
    const uint32_t place = s_.place_of(p_.pins[j]);
    expect(place != kNone && is_pinned(place), Invariant::pins, p_.pins[j]);
  }
  expect(flagged == p_.num_pins, Invariant::pins, kNone);
}

void StateCheck::check_layer_slots() {
  const PerLayer* const shared = per_layer_of(p_);
  if (shared == nullptr) return;
  uint64_t sum = 0, at_start = 0;
  for (uint32_t i = 0; i < p_.num_layers; ++i) {
    const uint32_t capacity = s_.instance(i).capacity;
    const bool as_started = capacity == shared->at_start[i];
    const bool within = capacity >= shared->min_capacity && capacity <= shared->max_capacity;
    expect_of(as_started || within, Invariant::layer_capacity, i);
    sum += capacity;
    at_start += shared->at_start[i];
  }
  expect(sum <= std::max<uint64_t>(at_start, p_.total_capacity()), Invariant::layer_capacity, kNone);
}

void StateCheck::check_places() {
  uint32_t residents = 0;
  each_instance([&](const Installed& in) {
    const uint32_t before = residents;
    const uint32_t end = in.first_place + p_.max_capacity();
    for (uint32_t place = in.first_place; place < in.first_place + padded_capacity(p_) && !found_; ++place) {
      if (!has_resident(place)) continue;
      check_place(in, place);
      ++residents;
    }
    if (found_) return;
    expect_of(in.capacity <= p_.max_capacity(), Invariant::capacity, in.i);
    const bool fits = residents - before <= in.capacity;
    expect_of(fits || all_pinned(in.first_place, end), Invariant::capacity, in.i);
    if (!found_) check_free(in, residents - before);
  });
  uint32_t placed = 0;
  const uint32_t places = s_.nobodys_place();
  for (uint32_t key = 0; key < p_.num_keys() && !found_; ++key) {
    const uint32_t place = s_.place_of(key);
    if (place == kNone) continue;
    ++placed;
    expect(place < places && s_.resident(place).key == key, Invariant::places, key);
  }
  expect(placed == residents, Invariant::places, kNone);
  expect(residents == s_.header().num_resident, Invariant::counters, kNone);
  expect(residents <= p_.total_capacity(), Invariant::capacity, kNone);
  if (found_) return;
  check_pins();
  check_layer_slots();
}

void StateCheck::check_triggers() {
  if (layer_ == kNone || has_tiers(p_)) return;  // a promotion comes after the triggers
  const Params& rules = in_force(p_, &s_.header());
  if (rules.memory_threshold > 0) {
    const double share = static_cast<double>(s_.header().num_resident) * rules.expert_size_gb / rules.memory_budget_gb;
    const bool relieved = share < rules.memory_threshold || share <= rules.memory_headroom;
    if (!relieved) expect(all_pinned(0, s_.nobodys_place()), Invariant::pressure, kNone);
  }
  const Installed in = installed(s_.instance_of_layer(layer_));
  const uint64_t accesses = s_.instance(in.i).accesses;
  if (rules.ttl == 0 || accesses < rules.ttl) return;
  for (uint32_t place = in.first_place; place < in.first_place + p_.max_capacity(); ++place) {
    if (!has_resident(place) || is_pinned(place)) continue;
    expect(s_.resident(place).last_use > accesses - rules.ttl, Invariant::ttl, s_.resident(place).key);
  }
}

Violation find_violation(const Params& params, const void* state, uint32_t layer) {
  StateCheck check(params, state, layer);
  check.check_places();
  if (check.found()) return check.found();
  check.check_orders();
  check.check_queues();
  check.check_tiers();
  check.check_triggers();
  return check.found();
}

void require_invariants(const Params& params, const void* state, uint32_t layer) {
  const Violation found = find_violation(params, state, layer);
  if (!found) return;
  std::fprintf(stderr, "a policy's state is broken: %s", to_words(found.what));
  if (found.layer != kNone) std::fprintf(stderr, ", layer %u", found.layer);
  if (found.expert != kNone) std::fprintf(stderr, ", expert %u", found.expert);
  std::fprintf(stderr, "\n");
  std::abort();
}

}  // namespace moe::decision
