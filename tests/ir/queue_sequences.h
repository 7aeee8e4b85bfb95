// SPDX-License-Identifier: Apache-2.0
// A cache that is run by a queue rule and nothing else, and the sequences of tests/oracles/libcachesim_counts.py.
#pragma once
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "ir/queue_rule.h"
#include "tests/ir/queue_counts.h"

namespace moe::ir::test {

struct Cache {
  struct Outcome {
    bool hit = false;
    bool entered = false;
    std::optional<uint32_t> left;
  };

  Cache(std::unique_ptr<QueueRule> queue_rule, uint32_t places) : rule(std::move(queue_rule)), capacity(places) {}
  Cache(Eviction eviction, uint32_t places) : Cache(make_queue_rule(eviction, places), places) {}

  Outcome access(uint32_t key, const QueueRule::MayLeave& may_leave, bool admitted = true) {
    if (members.count(key) != 0) {
      rule->hit(key);
      return {true, false, std::nullopt};
    }
    rule->miss(key);
    if (!admitted) return {};
    Outcome outcome;
    if (members.size() >= capacity) {
      outcome.left = rule->victim(key, may_leave);
      if (!outcome.left) return {};
      leave(*outcome.left);
    }
    rule->insert(key);
    members.insert(key);
    outcome.entered = true;
    return outcome;
  }

  /// The key leaves for a reason that is not the rule's.
  bool drop(uint32_t key) {
    if (members.erase(key) == 0) return false;
    rule->leave(key, false);
    return true;
  }

  std::vector<uint32_t> resize(uint32_t places, const QueueRule::MayLeave& may_leave) {
    capacity = places;
    rule->resize(places);
    std::vector<uint32_t> left;
    while (members.size() > capacity) {
      const std::optional<uint32_t> key = rule->victim(0xFFFFFFFF, may_leave);
      if (!key) break;
      leave(*key);
      left.push_back(*key);
    }
    return left;
  }

  void leave(uint32_t key) {
    members.erase(key);
    rule->leave(key, true);
  }

  std::unique_ptr<QueueRule> rule;
  uint32_t capacity;
  std::set<uint32_t> members;
};

/// G. L. Steele Jr., D. Lea, C. H. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
struct SplitMix {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
};

/// As sequence() of the script.
inline std::vector<uint32_t> sequence(uint32_t kind) {
  std::vector<uint64_t> cumulative;
  uint64_t total = 0;
  for (uint32_t rank = 0; rank < kSequenceKeys; ++rank) cumulative.push_back(total += 1000000 / (rank + 1));
  SplitMix rng{1000 + kind};
  const auto zipf = [&] {
    const uint64_t drawn = rng.next() % total;
    uint32_t rank = 0;
    while (drawn >= cumulative[rank]) ++rank;
    return rank;
  };
  std::vector<uint32_t> keys;
  for (uint32_t i = 0; i < kSequenceLength; ++i) {
    if (kind == 3) {
      keys.push_back(static_cast<uint32_t>((i + rng.next() % 40) % 120));
    } else if (kind == 2 && i / 500 % 2 == 1) {
      keys.push_back(300 + i % 150);
    } else {
      keys.push_back((zipf() + (kind == 1 ? 7 * (i / 200) : 0)) % kSequenceKeys);
    }
  }
  return keys;
}

}  // namespace moe::ir::test
