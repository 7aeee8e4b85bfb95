// SPDX-License-Identifier: Apache-2.0
// The reference interpreter of decisions: the oracle that every other engine must agree with.
#pragma once
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "ir/bind.h"
#include "ir/decision.h"

namespace moe::ir {

/// Decides as docs/semantics.md says, sentence by sentence.
///
/// Written to be read beside that page: ordered containers, linear scans, one function per rule, and nothing in common
/// with the compiled kernels. Its value is that it is obviously right, not that it is fast.
///
/// Cost     a miss scans every resident of its instance. Memory grows with residents, history and window.
/// Threads  none: the caller serialises.
class Interpreter {
 public:
  /// `policy` must hold (verify() finds nothing). Pinned experts are resident at once.
  explicit Interpreter(const BoundPolicy& policy);

  /// Decides one dispatch. nullopt: the dispatch is invalid (layer or ids out of range, an id twice in one token's set,
  /// sizes that do not match, a weight that is NaN, infinite or negative); nothing changed.
  std::optional<Decision> dispatch(const DispatchInput& input);

  /// What `layer` will probably need, for strategy gate: replaces its earlier hint, is used up by its dispatch. False:
  /// the hint is invalid (layer or id out of range, an id twice, a probability outside [0, 1], sizes that differ) and
  /// ignored.
  bool hint(uint32_t layer, std::span<const uint32_t> ids, std::span<const float> probabilities);

  /// Keys of all residents, ascending.
  std::vector<uint32_t> resident() const;

 private:
  /// State of a resident, kept under every rule.
  struct Resident {
    uint64_t load_number = 0;
    uint64_t last_use = 0;
    uint64_t uses = 0;
    double ema = 0;
    double freq = 0;
    bool pinned = false;
    bool awaits_layer = false;  ///< prefetched, and its layer has not run since
  };
  /// A cache instance: the whole cache, or one layer's.
  struct Instance {
    uint64_t accesses = 0;
    std::map<uint32_t, Resident> residents;     ///< by key
    std::deque<uint32_t> window;                ///< keys of the last freq_window accesses, oldest first
    std::map<uint32_t, uint64_t> window_count;  ///< how often each key is in `window`
  };
  struct Candidate {
    uint32_t layer = 0;
    uint32_t expert = 0;
    double predicted = 0;
  };
  /// The dispatch in progress.
  struct Context {
    uint32_t layer = 0;
    std::set<uint32_t> selected;  ///< keys
    Decision decision;
  };
  using Keys = std::vector<uint32_t>;

  // Identity.
  uint32_t key_of(uint32_t layer, uint32_t expert) const { return layer * policy_.shape.num_experts + expert; }
  Instance& instance_of_layer(uint32_t layer);
  Instance& instance_of_key(uint32_t key) { return instance_of_layer(key / policy_.shape.num_experts); }
  bool is_resident(uint32_t key) { return instance_of_key(key).residents.contains(key); }
  std::optional<std::vector<ExpertDecision>> unique_experts(const DispatchInput& input) const;

  // The steps of a dispatch.
  void leave_dropped(std::span<const uint32_t> dropped, Context& context);
  void decide_together(Context& context);
  void decide_one_by_one(Context& context);
  bool count_access(const ExpertDecision& expert, Context& context);
  Action act_on_miss(const ExpertDecision& expert, uint64_t access_number, Context& context);
  bool try_load(const ExpertDecision& expert, uint64_t access_number, Context& context);
  void end_exemptions(Context& context);
  void prefetch(Context& context);
  void check_triggers(Context& context);

  // Who leaves.
  void leave(uint32_t key, Context& context);
  void leave_below_threshold(Context& context);
  double share(const Instance& instance, uint32_t key) const;
  bool goes_before(const Instance& instance, uint32_t a, uint32_t b) const;
  std::optional<uint32_t> choose_victim(const Instance& instance, const Keys& candidates) const;
  Keys unpinned(const Instance& instance) const;
  static Keys without(const Keys& keys, const std::set<uint32_t>& excluded);
  bool is_full(const Instance& instance) const { return instance.residents.size() >= policy_.capacity; }

  // Pressure and time to live.
  double memory_used() const;
  void relieve_pressure(Context& context);
  bool relieve_instance(Instance& instance, bool spare_selected, Context& context);
  void expire(Context& context);

  // Prefetch.
  void record_history(const Context& context);
  std::vector<uint32_t> target_layers(uint32_t layer) const;
  std::vector<Candidate> predictions(uint32_t layer) const;
  std::vector<Candidate> history_of(uint32_t layer) const;
  double predicted_of(uint32_t key, const std::vector<Candidate>& predicted) const;
  void try_prefetch(const Candidate& candidate, const std::vector<Candidate>& predicted, Context& context);

  BoundPolicy policy_;
  std::vector<Instance> instances_;
  uint64_t num_loads_ = 0;
  std::vector<std::deque<std::set<uint32_t>>> history_;               ///< per layer: experts of its last dispatches
  std::vector<std::optional<std::vector<Candidate>>> pending_hints_;  ///< per layer, most probable first
};

}  // namespace moe::ir
