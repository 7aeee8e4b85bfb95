// SPDX-License-Identifier: Apache-2.0
#include "replay/native_state.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <set>

#include "runtime/decision/adapt.h"
#include "runtime/decision/state.h"
#include "runtime/decision/weight_rate.h"

namespace moe::replay {
namespace {

using decision::keeps;
using decision::Params;
using decision::State;

Error unsupported(const char* what) {
  return {Error::Kind::unsupported,
          std::string("the log no longer has the beginning, and cannot be explained from a later state because the "
                      "policy has ") +
              what + "; a larger log keeps the beginning for longer"};
}

Result<void> check_supported(const Params& p) {
  constexpr uint32_t kByNumber =
      1u << static_cast<uint32_t>(decision::Eviction::lru) | 1u << static_cast<uint32_t>(decision::Eviction::lfu) |
      1u << static_cast<uint32_t>(decision::Eviction::score) |
      1u << static_cast<uint32_t>(decision::Eviction::freq_threshold) |
      1u << static_cast<uint32_t>(decision::Eviction::fifo) | 1u << static_cast<uint32_t>(decision::Eviction::least);
  if ((decision::all_rules(p) & ~kByNumber) != 0) return unsupported("an eviction rule with queues or lots");
  for (const decision::Strategy strategy :
       {decision::Strategy::history, decision::Strategy::lookahead, decision::Strategy::affinity,
        decision::Strategy::sequence, decision::Strategy::learned, decision::Strategy::trajectory}) {
    if (decision::has_predictor(p, strategy)) return unsupported("a prefetch strategy that remembers routing");
  }
  if (decision::has_learner(p) || keeps(p, decision::kKeepsValue)) return unsupported("`learn`");
  if (keeps(p, decision::kKeepsPredicted)) return unsupported("an expression that reads `predicted`");
  if (decision::has_samples(p) || keeps(p, decision::kKeepsEntropy) || p.num_remembered != 0) {
    return unsupported("an expression that reads metrics of the monitor's window");
  }
  if (p.changes == nullptr) return {};
  const decision::Changes& changes = *p.changes;
  if (changes.num_rules + changes.num_choices != 0 || changes.per_layer != nullptr) {
    return unsupported("`adapt`, `choose` or `per_layer`");
  }
  return {};
}

/// Reads one block, checking what is an index or a size.
class Reader {
 public:
  Reader(const Params& params, void* block) : p_(params), s_(params, block) {}

  Result<ir::Snapshot> read() {
    ir::Snapshot out;
    out.num_loads = s_.header().load_counter;
    if (s_.header().request_epoch != 0) out.request = s_.header().request;
    for (uint32_t i = 0; i < p_.num_rates; ++i) out.rates.push_back({false, p_.rates[i], 0});
    for (uint32_t i = 0; i < p_.num_weight_rates; ++i) {
      out.rates.push_back({true, p_.weight_rates[i].window, p_.weight_rates[i].largest});
    }
    for (uint32_t layer = 0; layer < p_.num_layers; ++layer) {
      out.layer_dispatches.push_back(keeps(p_, decision::kKeepsIdle) ? s_.layer_dispatches()[layer] : 0);
    }
    for (uint32_t key = 0; key < p_.num_keys(); ++key) out.experts.push_back(expert(key));
    for (uint32_t i = 0; i < p_.num_instances(); ++i) {
      std::optional<ir::Snapshot::Instance> one = instance(i);
      if (!one) return Error{Error::Kind::format, "a state in the log is not one that the policy can have"};
      out.instances.push_back(std::move(*one));
    }
    return out;
  }

 private:
  ir::Snapshot::Expert expert(uint32_t key) const {
    ir::Snapshot::Expert out;
    if (keeps(p_, decision::kKeepsSeen)) out.seen = s_.seen()[key];
    if (keeps(p_, decision::kKeepsIdle)) out.last_dispatch = s_.last_dispatch()[key];
    const bool counted = keeps(p_, decision::kKeepsRequestUses);
    if (counted && s_.request_epoch()[key] == s_.header().request_epoch) out.request_uses = s_.request_uses()[key];
    // A layer's first access has number 1.
    if (keeps(p_, decision::kKeepsLastAccess) && s_.last_access()[key] != 0) out.last_access = s_.last_access()[key];
    for (uint32_t i = 0; i < p_.num_rates; ++i) out.rates.push_back(s_.rate(i)[key]);
    for (uint32_t i = 0; i < p_.num_weight_rates; ++i) {
      out.rates.push_back(decision::weight_rate(s_, p_, i)[key]);
    }
    return out;
  }

  /// The phase and layer whose rules are installed in instance `i`; false: no dispatch can have installed them.
  bool find_rules(uint32_t i, ir::Snapshot::Instance& out) const {
    out.layer = p_.scope_layer != 0 ? i : 0;
    if (p_.changes == nullptr) return true;
    const decision::Changes& changes = *p_.changes;
    const uint32_t end = p_.scope_layer != 0 ? i + 1 : p_.num_layers;
    for (uint32_t layer = out.layer; layer < end; ++layer) {
      for (const ir::Phase phase : {ir::Phase::decode, ir::Phase::prefill}) {
        const size_t row = static_cast<size_t>(phase) * changes.num_bands + changes.band_of_layer[layer];
        if (changes.selector[row] != s_.instance(i).variant) continue;
        out.layer = layer;
        out.phase = phase;
        return true;
      }
    }
    return false;
  }

  std::optional<ir::Snapshot::Instance> instance(uint32_t i) {
    ir::Snapshot::Instance out;
    if (!find_rules(i, out)) return std::nullopt;
    const Params& rules =
        p_.changes == nullptr ? p_ : p_.changes->variants[s_.instance(i).variant];  // find_rules has found it
    out.capacity = s_.instance(i).capacity;
    out.accesses = s_.instance(i).accesses;
    if (out.capacity == 0 || out.capacity > p_.max_capacity()) return std::nullopt;
    for (uint32_t j = 0; j < p_.max_capacity(); ++j) {
      const uint32_t place = s_.first_place(i) + j;
      if (s_.resident(place).key == decision::kNone) continue;
      const std::optional<ir::Snapshot::Resident> one = resident(i, place, rules);
      if (!one || !seen_.insert(one->key).second) return std::nullopt;
      out.residents.push_back(*one);
    }
    return decision::has_window(p_) && !window(i, out) ? std::nullopt : std::optional(std::move(out));
  }

  std::optional<ir::Snapshot::Resident> resident(uint32_t i, uint32_t place, const Params& rules) const {
    const decision::Resident& from = s_.resident(place);
    if (from.key >= p_.num_keys() || s_.instance_of_layer(from.key / p_.num_experts) != i) return std::nullopt;
    ir::Snapshot::Resident out;
    out.key = from.key;
    out.load_number = from.load;
    out.last_use = from.last_use;
    out.uses = from.uses;
    out.ema = from.ema;
    out.pinned = (from.flags & decision::kPinned) != 0;
    out.awaits_layer = (from.flags & decision::kExempt) != 0;
    if (keeps(p_, decision::kKeepsLoadedAt)) out.loaded_at = s_.loaded_at()[place];
    if (keeps(p_, decision::kKeepsForetold)) out.foretold = s_.foretold()[place];
    const bool ranked = rules.eviction == static_cast<uint32_t>(decision::Eviction::lfu) && !out.pinned;
    if (ranked) out.freq = decision::value_of(s_.rank()[place]);
    if (keeps(p_, decision::kKeepsFreq)) out.freq = s_.freq()[place];
    return std::isnan(out.freq) ? std::nullopt : std::optional(out);
  }

  /// The last accesses of the instance, oldest first.
  bool window(uint32_t i, ir::Snapshot::Instance& out) const {
    const uint64_t most = decision::max_freq_window(p_);
    const uint64_t length = std::min(out.accesses, most);
    for (uint64_t j = 0; j < length; ++j) {
      const uint32_t key = s_.ring(i)[(out.accesses - length + j) % most];
      if (key >= p_.num_keys() || s_.instance_of_layer(key / p_.num_experts) != i) return false;
      out.window.push_back(key);
    }
    return true;
  }

  const Params& p_;
  const State s_;
  std::set<uint32_t> seen_;
};

}  // namespace

Result<ir::Snapshot> read_state(const Params& params, Bytes block) {
  if (Result<void> supported = check_supported(params); !supported) return supported.error();
  const size_t size = decision::state_bytes(params);
  if (block.size() != size) {
    return Error{Error::Kind::format, "a state in the log has " + std::to_string(block.size()) +
                                          " bytes, this policy's has " + std::to_string(size) +
                                          ": it is another policy's, or another version's"};
  }
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  const std::unique_ptr<void, Free> copy(std::aligned_alloc(64, (size + 63) & ~size_t{63}));
  if (!copy) return Error{Error::Kind::no_memory, "no memory for a state of " + std::to_string(size) + " bytes"};
  std::copy(block.begin(), block.end(), static_cast<uint8_t*>(copy.get()));
  return Reader(params, copy.get()).read();
}

}  // namespace moe::replay
