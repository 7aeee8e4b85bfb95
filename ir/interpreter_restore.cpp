// SPDX-License-Identifier: Apache-2.0
// Starting in the middle of a run.
#include <algorithm>

#include "ir/interpreter.h"

namespace moe::ir {

void Interpreter::restore(const Snapshot& snapshot) {
  num_loads_ = snapshot.num_loads;
  request_ = snapshot.request;
  layer_dispatches_ = snapshot.layer_dispatches;
  for (size_t i = 0; i < instances_.size(); ++i) restore_instance(instances_[i], snapshot.instances[i]);
  for (uint32_t key = 0; key < experts_.size(); ++key) {
    const Snapshot::Expert& from = snapshot.experts[key];
    ExpertState& to = experts_[key];
    to.seen = from.seen;
    to.last_dispatch = from.last_dispatch;
    to.request_uses = from.request_uses;
    if (from.last_access) instance_of_key(key).last_access[key] = *from.last_access;
    for (size_t r = 0; r < snapshot.rates.size(); ++r) {
      const Snapshot::Rate& rate = snapshot.rates[r];
      const RateKey kept{rate.of_weights ? ExprOp::weight_rate : ExprOp::use_rate, rate.window, rate.largest};
      const auto found = std::find(rate_keys_.begin(), rate_keys_.end(), kept);
      if (found != rate_keys_.end()) to.rates[static_cast<size_t>(found - rate_keys_.begin())] = from.rates[r];
    }
  }
}

void Interpreter::restore_instance(Instance& instance, const Snapshot::Instance& from) {
  instance.rules = rules_for(from.layer, from.phase);
  instance.capacity = from.capacity;
  instance.accesses = from.accesses;
  instance.residents.clear();
  for (const Snapshot::Resident& resident : from.residents) {
    Resident& state = instance.residents[resident.key];
    state.load_number = resident.load_number;
    state.last_use = resident.last_use;
    state.loaded_at = resident.loaded_at;
    state.uses = resident.uses;
    state.ema = resident.ema;
    state.freq = resident.freq;
    state.foretold = resident.foretold;
    state.pinned = resident.pinned;
    state.awaits_layer = resident.awaits_layer;
  }
  instance.window.assign(from.window.begin(), from.window.end());
  recount_window(instance);
}

}  // namespace moe::ir
