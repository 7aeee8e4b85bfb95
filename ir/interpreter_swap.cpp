// SPDX-License-Identifier: Apache-2.0
// A new policy in place of another one: docs/semantics.md, "Swap".
#include <algorithm>

#include "ir/interpreter.h"

namespace moe::ir {

std::vector<uint32_t> Interpreter::take_over(const Interpreter& old) {
  // What is preloaded gives way: the cache is warm already.
  for (const uint32_t key : policy_.preload) instance_of_key(key).residents.erase(key);
  for (Instance& instance : instances_) adopt_eviction(instance, *instance.rules);
  num_loads_ = policy_.pins.size();

  struct Coming {
    uint32_t key;
    uint64_t age;  ///< accesses of its instance since its last use
    Resident state;
  };
  std::vector<Coming> coming;  // oldest first
  for (const Instance& instance : old.instances_) {
    const bool counted = instance.rules->eviction.kind == Eviction::lfu;
    for (const auto& [key, state] : instance.residents) {
      if (is_resident(key)) continue;  // pinned by this policy
      Coming one{key, instance.accesses - state.last_use, state};
      one.state.freq = counted && !state.pinned ? state.freq : static_cast<double>(state.uses);
      coming.push_back(one);
    }
  }
  std::sort(coming.begin(), coming.end(), [](const Coming& a, const Coming& b) {
    return a.age != b.age ? a.age > b.age : a.state.load_number < b.state.load_number;
  });

  std::map<const Instance*, size_t> waiting;
  for (const Coming& one : coming) ++waiting[&instance_of_key(one.key)];
  std::vector<uint32_t> left;
  for (const Coming& one : coming) {
    Instance& instance = instance_of_key(one.key);
    const size_t with_those_after = waiting[&instance]--;
    if (instance.residents.size() + with_those_after > instance.capacity) {
      left.push_back(one.key);
      continue;
    }
    Resident state;
    state.load_number = ++num_loads_;
    state.uses = one.state.uses;
    state.ema = one.state.ema;
    state.freq = one.state.freq;
    state.awaits_layer = instance.rules->eviction.kind == Eviction::freq_threshold;
    // Of two segments the first holds what was used last.
    const bool goes_to_second =
        is_segmented(instance) && segment_size(instance, 0) + with_those_after > segment_capacity(instance, 0);
    state.segment = goes_to_second ? 1 : 0;
    if (instance.order[state.segment]) instance.order[state.segment]->insert(one.key);
    instance.residents[one.key] = state;
  }
  return left;
}

}  // namespace moe::ir
