// SPDX-License-Identifier: Apache-2.0
#include "tests/ir/queue_libcachesim.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

namespace moe::ir::test {

// ---- LIRS as libCacheSim has it
// --------------------------------------------------------------------------------------

struct LibCacheSimLirs::State {
  struct Entry {
    uint32_t key;
    bool lir;
    bool resident;
  };
  size_t capacity;
  size_t hir_places;
  std::vector<Entry> stack;     // bottom first
  std::vector<uint32_t> queue;  // first to leave first
  std::vector<uint32_t> gone;
  size_t num_lir = 0;

  auto in_stack(uint32_t key) {
    return std::find_if(stack.begin(), stack.end(), [&](const Entry& e) { return e.key == key; });
  }
  void prune() {
    while (stack.size() > 1 && !stack.front().lir) {
      gone.erase(std::remove(gone.begin(), gone.end(), stack.front().key), gone.end());
      stack.erase(stack.begin());
    }
  }
  void evict_hir() {
    const uint32_t key = queue.front();
    queue.erase(queue.begin());
    if (in_stack(key) == stack.end()) return;
    in_stack(key)->resident = false;
    gone.push_back(key);
  }
  void demote_lir() {
    const uint32_t key = stack.front().key;
    stack.erase(stack.begin());
    --num_lir;
    while (queue.size() >= hir_places) evict_hir();
    queue.push_back(key);
    prune();
  }
  void make_lir_room() {
    while (num_lir + 1 > capacity - hir_places) demote_lir();
  }
};

LibCacheSimLirs::LibCacheSimLirs(uint32_t capacity) : state_(std::make_unique<State>()) {
  state_->capacity = capacity;
  state_->hir_places = std::max<size_t>(1, capacity / 100);
}

LibCacheSimLirs::~LibCacheSimLirs() = default;

bool LibCacheSimLirs::access(uint32_t key) {
  State& s = *state_;
  const auto queued = std::find(s.queue.begin(), s.queue.end(), key);
  const auto stacked = s.in_stack(key);
  const bool was_queued = queued != s.queue.end();
  const bool was_stacked = stacked != s.stack.end();
  const State::Entry old = was_stacked ? *stacked : State::Entry{key, false, was_queued};
  if (was_stacked) s.stack.erase(stacked);
  if (was_queued) s.queue.erase(queued);
  if (old.lir) {
    s.stack.push_back(old);
    s.prune();
  } else if (was_stacked) {  // becomes LIR, resident or not
    if (!old.resident) s.gone.erase(std::remove(s.gone.begin(), s.gone.end(), key), s.gone.end());
    s.stack.push_back({key, false, true});
    s.make_lir_room();
    s.in_stack(key)->lir = true;
    ++s.num_lir;
  } else if (was_queued) {
    s.queue.push_back(key);
    s.make_lir_room();  // the paper has nothing here
    s.stack.push_back({key, false, true});
  } else {
    const bool lir = s.num_lir < s.capacity - s.hir_places;
    while (!lir && s.queue.size() >= s.hir_places) s.evict_hir();
    s.stack.push_back({key, lir, true});
    if (lir) ++s.num_lir;
    if (!lir) s.queue.push_back(key);
  }
  while (s.stack.size() > 2 * s.capacity && !s.gone.empty()) {
    s.stack.erase(s.in_stack(s.gone.front()));
    s.gone.erase(s.gone.begin());
  }
  return old.lir || old.resident;
}

// ---- W-TinyLFU
// -------------------------------------------------------------------------------------------------------

namespace {

/// XXH64 of one 64-bit number (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
uint64_t xxh64(uint64_t number, uint64_t seed) {
  constexpr uint64_t p1 = 0x9E3779B185EBCA87, p2 = 0xC2B2AE3D27D4EB4F, p3 = 0x165667B19E3779F9;
  constexpr uint64_t p4 = 0x85EBCA77C2B2AE63, p5 = 0x27D4EB2F165667C5;
  uint64_t h = seed + p5 + 8;
  h ^= std::rotl(number * p2, 31) * p1;
  h = std::rotl(h, 27) * p1 + p4;
  h = (h ^ (h >> 33)) * p2;
  h = (h ^ (h >> 29)) * p3;
  return h ^ (h >> 32);
}

/// Ten of 14.4 counters per entry, an error rate of 0.001.
struct BloomCounts {
  std::vector<uint32_t> counters;

  explicit BloomCounts(size_t entries)
      : counters(static_cast<size_t>(std::ceil(-std::log(0.001) / 0.480453013918201 * static_cast<double>(entries)))) {}
  uint32_t place(uint32_t key, uint32_t i) const {
    const uint64_t id = uint64_t{key} + 1;
    const auto a = static_cast<uint32_t>(xxh64(id, 0x12345678));
    const auto b = static_cast<uint32_t>(xxh64(id, 0x12344321));
    return (a + i * b) % static_cast<uint32_t>(counters.size());
  }
  void add(uint32_t key) {
    for (uint32_t i = 0; i < 10; ++i) ++counters[place(key, i)];
  }
  uint32_t estimate(uint32_t key) const {
    uint32_t least = counters[place(key, 0)];
    for (uint32_t i = 1; i < 10; ++i) least = std::min(least, counters[place(key, i)]);
    return least;
  }
};

/// False if it was not there.
bool take(std::vector<uint32_t>& keys, uint32_t key) {
  const auto found = std::find(keys.begin(), keys.end(), key);
  if (found == keys.end()) return false;
  keys.erase(found);
  return true;
}

}  // namespace

struct LibCacheSimWTinyLfu::State {
  State(size_t capacity_, size_t main_)
      : capacity(capacity_),
        main(main_),
        probation_places(static_cast<size_t>(1.0 / 5 * static_cast<double>(main_))),
        protected_places(static_cast<size_t>(4.0 / 5 * static_cast<double>(main_))),
        counts(main_) {}
  size_t capacity;
  size_t main;
  size_t probation_places;
  size_t protected_places;
  BloomCounts counts;
  size_t main_hits = 0;
  std::vector<uint32_t> window;  // least recently used first, as all three
  std::vector<uint32_t> probation;
  std::vector<uint32_t> guarded;

  bool find(uint32_t key) {
    if (take(window, key)) {
      window.push_back(key);
      return true;
    }
    if (take(guarded, key)) {
      guarded.push_back(key);
    } else if (take(probation, key)) {
      guarded.push_back(key);
      while (guarded.size() > protected_places) {
        probation.push_back(guarded.front());
        guarded.erase(guarded.begin());
        while (probation.size() > probation_places) probation.erase(probation.begin());
      }
    } else {
      return false;
    }
    counts.add(key);
    if (++main_hits >= 32 * main) {
      main_hits = 0;
      for (uint32_t& counter : counts.counters) counter /= 2;
    }
    return true;
  }
  void enter_main(uint32_t key) {
    const bool straight = probation.size() >= probation_places && guarded.size() < protected_places;
    (straight ? guarded : probation).push_back(key);
  }
  void evict() {
    for (bool evicted = false; !evicted;) {
      std::vector<uint32_t>& weakest = probation.empty() ? guarded : probation;
      if (window.empty()) {
        weakest.erase(weakest.begin());
        return;
      }
      const uint32_t challenger = window.front();
      window.erase(window.begin());
      const bool has_room = probation.size() + guarded.size() < main;
      evicted = !has_room;
      if (has_room) {
        enter_main(challenger);
      } else if (counts.estimate(challenger) > counts.estimate(weakest.front())) {
        weakest.erase(weakest.begin());
        enter_main(challenger);
      }
      counts.add(challenger);
    }
  }
};

LibCacheSimWTinyLfu::LibCacheSimWTinyLfu(uint32_t capacity)
    : state_(std::make_unique<State>(capacity, capacity - std::max(1U, capacity / 100))) {}

LibCacheSimWTinyLfu::~LibCacheSimWTinyLfu() = default;

bool LibCacheSimWTinyLfu::access(uint32_t key) {
  State& s = *state_;
  if (s.find(key)) return true;
  while (s.window.size() + s.probation.size() + s.guarded.size() >= s.capacity) s.evict();
  s.window.push_back(key);
  s.counts.add(key);
  return false;
}

}  // namespace moe::ir::test
