// SPDX-License-Identifier: Apache-2.0
// The reference interpreter of decisions: the oracle that every other engine must agree with.
#pragma once
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ir/account.h"
#include "ir/bind.h"
#include "ir/decision.h"
#include "ir/metrics.h"
#include "ir/pcg32.h"
#include "ir/predictor.h"
#include "ir/queue_rule.h"
#include "ir/snapshot.h"
#include "ir/tier_model.h"

namespace moe::ir {

/// What only a replay knows: for belady and `next_use`.
class Future {
 public:
  virtual ~Future() = default;
  /// Accesses from now until the expert's next use: 1 when it is the next. `done`: accesses of the dispatch in progress
  /// that have been processed, the one in hand included. Infinite when the expert is never used again.
  virtual double next_use(uint32_t key, uint64_t done) const = 0;
};

/// Decides as docs/semantics.md says, sentence by sentence.
///
/// Written to be read beside that page: ordered containers, linear scans, one function per rule, and nothing in common
/// with the compiled kernels. Its value is that it is obviously right, not that it is fast.
///
/// Cost     a miss scans every resident of its instance. Memory grows with residents, history and window.
/// Threads  none: the caller serialises.
class Interpreter {
 public:
  /// `policy` must hold (verify() finds nothing). Pinned and preloaded experts are resident at once.
  explicit Interpreter(const BoundPolicy& policy);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  /// Decides one dispatch. nullopt: the dispatch is invalid (layer or ids out of range, an id twice in one token's set,
  /// sizes that do not match, a weight that is NaN, infinite or negative); nothing changed.
  std::optional<Decision> dispatch(const DispatchInput& input);

  /// What `layer` will probably need, for strategy gate: replaces its earlier hint, is used up by its dispatch. False:
  /// the hint is invalid (layer or id out of range, an id twice, a probability outside [0, 1], sizes that differ) and
  /// ignored.
  bool hint(uint32_t layer, std::span<const uint32_t> ids, std::span<const float> probabilities);

  /// Must outlive the interpreter; null (the default): nobody is used again.
  void set_future(const Future* future) { future_ = future; }

  /// Notes in `account` why the dispatches from now on decide as they do; null (the default): nothing is noted. Begin
  /// each dispatch with an empty one. Changes no decision.
  void set_account(DecisionAccount* account) { account_ = account; }

  /// Goes on from `snapshot`, which must be of this policy, and within it: keys, sizes, capacities. The next dispatch
  /// is decided as if all before it had been.
  void restore(const Snapshot& snapshot);

  /// Goes on, before its first dispatch, with the residents of `old`, which ran another policy of the same shape
  /// (docs/semantics.md, "Swap"). Returns the keys that found no place, the least recently used first. Neither policy
  /// may have tiers: what those hold is not carried over.
  std::vector<uint32_t> take_over(const Interpreter& old);

  /// Keys of all residents, ascending.
  std::vector<uint32_t> resident() const;
  /// Slots of the instance of `layer` now.
  uint32_t capacity(uint32_t layer) const;
  /// The policy that `use` or `choose` has put in force; the policy's own name when none has.
  const std::string& policy_in_force() const;

 private:
  friend class ExpertEnvironment;
  using Keys = std::vector<uint32_t>;

  /// State of a resident, kept under every rule.
  struct Resident {
    uint64_t load_number = 0;
    uint64_t last_use = 0;
    uint64_t loaded_at = 0;  ///< the instance's access counter then
    uint64_t uses = 0;
    double ema = 0;
    double freq = 0;
    bool pinned = false;
    bool awaits_layer = false;     ///< prefetched, and its layer has not run since
    bool unused_prefetch = false;  ///< prefetched, and not used since
    uint8_t segment = 0;           ///< of a | b
    double foretold = 0;           ///< the last prediction about it since it was loaded
    uint64_t arrives = 0;          ///< dispatch of its layer from which it can be hit
    size_t rung = 0;               ///< of the ladder: the precision that it is held in
  };
  /// A cache instance: the whole cache, or one layer's.
  struct Instance {
    const BoundRules* rules = nullptr;  ///< installed at its layer's last dispatch
    uint32_t capacity = 0;
    uint64_t accesses = 0;
    std::map<uint32_t, Resident> residents;           ///< by key
    std::array<std::unique_ptr<QueueRule>, 2> order;  ///< per segment; null: its rule is a number per resident
    std::deque<uint32_t> window;                      ///< keys of the last accesses, oldest first
    std::map<uint32_t, uint64_t> window_count;        ///< how often each key is among the last freq_window of them
    std::map<uint32_t, uint64_t> last_access;         ///< by key, resident or not
    std::vector<uint32_t> side;                       ///< keys fetched into the side buffer
    std::deque<uint32_t> ghosts;                      ///< per_layer utility: last victims, newest first
    std::vector<uint64_t> hits_at_depth;              ///< likewise: by slot, from 0
  };
  /// What is known of every expert, resident or not.
  struct ExpertState {
    double seen = 0;
    uint64_t last_dispatch = 0;  ///< of its layer, from 1; 0: never used
    uint64_t request_uses = 0;
    std::vector<double> rates;  ///< in the order of rate_keys_
  };
  struct RateKey {
    ExprOp op = ExprOp::use_rate;
    uint32_t window = 1;
    uint32_t largest = 0;
    friend bool operator==(const RateKey&, const RateKey&) = default;
  };
  /// The dispatch in progress.
  struct Context {
    const DispatchInput* input = nullptr;
    uint32_t layer = 0;
    const BoundRules* rules = nullptr;
    std::set<uint32_t> selected;                                        ///< keys
    std::map<uint32_t, const ExpertDecision*> access;                   ///< by key
    std::map<uint32_t, uint32_t> position;                              ///< by key: in order of first appearance
    std::set<uint32_t> resident_at_start;                               ///< of the selected
    std::set<uint32_t> on_cpu;                                          ///< of mode balance
    uint32_t misses_seen = 0;                                           ///< by the schedule, so far
    uint32_t loads_chosen = 0;                                          ///< by the schedule, so far
    std::vector<std::pair<const ExpertDecision*, uint64_t>> from_side;  ///< hits in the side buffer, access numbers
    uint64_t accesses = 0;                                              ///< processed
    uint64_t hits = 0;
    uint64_t prefetch_used = 0;
    Cause cause = Cause::rules;  ///< the step in progress
    Decision decision;
  };
  struct RuleState {
    uint64_t held = 0;    ///< of its stretch, while the condition holds
    uint64_t failed = 0;  ///< likewise, while it does not hold
    bool fired = false;   ///< and the condition has held since
    bool active = false;
    std::optional<uint64_t> last_fired;  ///< dispatch
  };
  struct ArmTable {  ///< of `choose`, in one phase
    std::vector<uint64_t> plays;
    std::vector<double> mean;
  };
  struct ChooseState {
    std::array<ArmTable, 2> tables;
    size_t arm = 0;
    uint64_t since = 0;  ///< dispatches of this arm
  };

  // Identity.
  uint32_t key_of(uint32_t layer, uint32_t expert) const { return layer * policy_.shape.num_experts + expert; }
  uint32_t layer_of(uint32_t key) const { return key / policy_.shape.num_experts; }
  Instance& instance_of_layer(uint32_t layer) { return instances_[policy_.scope == Scope::layer ? layer : 0]; }
  const Instance& instance_of_layer(uint32_t layer) const {
    return instances_[policy_.scope == Scope::layer ? layer : 0];
  }
  Instance& instance_of_key(uint32_t key) { return instance_of_layer(layer_of(key)); }
  bool is_resident(uint32_t key) { return instance_of_key(key).residents.contains(key); }
  std::optional<std::vector<ExpertDecision>> unique_experts(const DispatchInput& input) const;
  bool is_valid(const DispatchInput& input) const;

  // Rules in force (interpreter_rules.cpp).
  void collect_rates();
  const BoundRules* rules_for(uint32_t layer, Phase phase);
  void install(Instance& instance, const BoundRules* rules, uint32_t layer, Context& context);
  void recount_window(Instance& instance);
  void adopt_eviction(Instance& instance, const BoundRules& rules);
  void shrink(Instance& instance, Context& context);

  // The steps of a dispatch.
  void begin(const DispatchInput& input, Context& context);
  void drop(Context& context);
  void put_in_order(Context& context);
  void publish(Context& context);
  void settle_side_buffer(Context& context);
  bool is_here(const Instance& instance, uint32_t key) const;
  void record_use(Context& context);
  void update_rates(Context& context);
  Observation observation_of(const Context& context) const;  ///< borrows from the context
  void leave_dropped(std::span<const uint32_t> dropped, Context& context);
  void decide_together(Context& context);
  void decide_one_by_one(Context& context);
  bool count_access(const ExpertDecision& expert, Context& context);
  void end_exemptions(Context& context);
  void check_triggers(Context& context);

  // What a miss does (interpreter_schedule.cpp).
  struct Miss {
    ExpertDecision* expert = nullptr;
    uint64_t access_number = 0;
    MissAction action = MissAction::load;
  };
  void choose_actions(std::vector<Miss>& misses, Context& context);
  void balance(Context& context);
  MissAction action_of(const ExpertDecision& expert, bool may_load, Context& context);
  bool can_do(MissAction action, const ExpertDecision& expert, bool may_load, Context& context);
  Action act_on_miss(const Miss& miss, Context& context);
  bool try_load(const ExpertDecision& expert, uint64_t access_number, Context& context, bool behind = false);
  double load_ms(const Context& context, uint32_t queued_before) const;
  double cpu_ms(const Context& context, uint32_t tokens) const;

  // Who leaves (interpreter_evict.cpp).
  using MayLeave = std::function<bool(uint32_t key)>;
  void leave(uint32_t key, bool as_victim, Context& context);
  void leave_below_threshold(Context& context);
  double share(const Instance& instance, uint32_t key) const;
  const EvictionRule& rule_of(const Instance& instance, uint8_t segment) const;
  uint32_t segment_capacity(const Instance& instance, uint8_t segment) const;
  size_t segment_size(const Instance& instance, uint8_t segment) const;
  bool is_segmented(const Instance& instance) const;
  bool goes_before(const EvictionRule& rule, const Instance& instance, uint32_t a, uint32_t b, double value_a,
                   double value_b) const;
  std::optional<uint32_t> choose_victim(const EvictionRule& rule, Instance& instance, uint8_t segment,
                                        uint32_t newcomer, const MayLeave& may_leave, Context& context) {
    return account_ == nullptr ? pick_victim(rule, instance, segment, newcomer, may_leave, context)
                               : note_choice(rule, instance, segment, newcomer, may_leave, context);
  }
  std::optional<uint32_t> pick_victim(const EvictionRule& rule, Instance& instance, uint8_t segment, uint32_t newcomer,
                                      const MayLeave& may_leave, Context& context);
  /// Whom a newcomer would replace: `leaver` leaves the cache; in a | b `demoted` makes place in a.
  struct Place {
    bool found = false;
    std::optional<uint32_t> leaver;
    std::optional<uint32_t> demoted;
  };
  Place find_place(Instance& instance, uint32_t newcomer, const EvictionRule* instead, const MayLeave& may_leave,
                   Context& context);
  void take_place(Instance& instance, const Place& place, uint32_t key, Resident state, Context& context);
  void move_to_segment(Instance& instance, uint32_t key, uint8_t segment);
  void promote(Instance& instance, uint32_t key, Context& context);
  std::optional<uint32_t> victim_of_cache(Instance& instance, const MayLeave& may_leave, Context& context);
  MayLeave unprotected(const Instance& instance, const Context& context) const;
  bool admits(const AdmitRule& rule, Instance& instance, uint32_t key, const Place& place, Context& context);

  // Pressure and time to live.
  double memory_used(const BoundRules& rules) const;
  void relieve_pressure(Context& context, bool asked_for);
  bool relieve_instance(Instance& instance, bool spare_selected, Context& context);
  void expire(Context& context);

  // Prefetch (interpreter_prefetch.cpp).
  void observe(Context& context);
  Predictor* predictor(Strategy strategy, const BoundRules& rules);
  std::vector<Candidate> hinted(uint32_t layer, const BoundRules& rules) const;
  std::vector<Candidate> learned(uint32_t layer) const;
  std::vector<Candidate> by_expression(Context& context);
  std::vector<Candidate> predictions(Context& context);
  void prefetch(Context& context);
  std::optional<Refusal> filtered(const Candidate& candidate, uint32_t listed, Context& context);
  void try_prefetch(const Candidate& candidate, Context& context);
  double predicted_of(uint32_t key) const;

  // Tiers (interpreter_tiers.cpp).
  void place_tiers();
  TierModel* tiers_of_layer(uint32_t layer) const { return tiers_[layer]; }
  TierModel::Answers answers(Context& context);
  void promote_to_first(uint32_t key, Context& context);
  uint32_t victim_of_tier(const EvictionRule& rule, const Keys& held, Context& context);
  size_t rung_of(uint32_t key, Context& context);
  void enter_first_tier(uint32_t key, Resident& state, Context& context);
  void pass_through(uint32_t key, Context& context);
  void leave_first_tier(uint32_t key, Context& context);
  void move_between_tiers(Context& context);

  // What changes over time (interpreter_adapt.cpp).
  void rebalance(Allocation allocation, Context& context);
  std::vector<double> entropy_signal() const;
  std::vector<uint32_t> by_utility(const AllocationLimits& limits) const;
  void note_depth(Instance& instance, uint32_t key);
  void end_dispatch(Context& context);
  void adapt(Context& context);
  void act(const AdaptRule& rule, Context& context);
  bool stretch_done(const AdaptRule& rule, uint64_t& counter, const Context& context) const;
  void choose(Context& context);
  void refresh_overrides();
  double metric(Variable v, const Context& context) const;

  void restore_instance(Instance& instance, const Snapshot::Instance& from);  ///< interpreter_restore.cpp

  // What is noted for an explanation (interpreter_account.cpp); each does nothing without an account.
  void note_begin(const Context& context);
  std::optional<uint32_t> note_choice(const EvictionRule& rule, Instance& instance, uint8_t segment, uint32_t newcomer,
                                      const MayLeave& may_leave, Context& context);
  std::vector<Contender> contenders(const EvictionRule& rule, const Instance& instance, const Keys& candidates,
                                    Context& context);
  void note_departure(uint32_t key, const Context& context);
  void note_action(uint32_t key, ActionReason reason, const Context& context, uint32_t arm = 0);
  bool refused(uint32_t key, Refusal why, const Place& place, Context& context);  ///< false
  void note_prefetch(const Candidate& candidate, std::optional<Refusal> why, const Place& place, Context& context);
  std::vector<Term> terms_of(const Expr& expr, uint32_t key, std::optional<uint32_t> victim, Context& context);

  BoundPolicy policy_;
  std::vector<Instance> instances_;
  std::vector<ExpertState> experts_;  ///< by key
  std::vector<RateKey> rate_keys_;
  std::set<Variable> remembered_;  ///< metrics whose history some expression reads
  bool reads_seen_ = false;
  uint64_t num_loads_ = 0;
  uint64_t num_dispatches_ = 0;
  std::vector<uint64_t> layer_dispatches_;  ///< per layer
  std::optional<uint32_t> request_;
  bool new_request_ = true;
  Pcg32 lots_;
  const Future* future_ = nullptr;
  DecisionAccount* account_ = nullptr;
  // prefetch
  std::vector<std::optional<std::vector<Candidate>>> pending_hints_;  ///< per layer, most probable first
  PrefetchRule predictor_rule_;                                       ///< what predictors read; outlives them
  std::map<Strategy, std::unique_ptr<Predictor>> predictors_;
  std::unique_ptr<Learner> learner_;
  std::map<uint32_t, double> predicted_;  ///< by key: the last predictions
  // rules in force
  std::map<std::string, std::unique_ptr<BoundRules>> variants_;
  std::vector<RuleState> rule_states_;
  std::vector<ChooseState> choose_states_;
  std::vector<const Assignment*> overrides_;
  std::optional<size_t> alternative_;
  Pcg32 arms_;
  Metrics metrics_;
  std::vector<std::unique_ptr<TierModel>> tier_models_;  ///< the policy's and its bands'
  std::vector<TierModel*> tiers_;                        ///< per layer; null: no tiers there
};

}  // namespace moe::ir
