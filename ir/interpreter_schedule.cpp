// SPDX-License-Identifier: Apache-2.0
// Step 3: what a miss does.
#include <algorithm>
#include <limits>

#include "ir/environment.h"
#include "ir/interpreter.h"

namespace moe::ir {
namespace {

bool is_load(MissAction action) {
  return action == MissAction::load || action == MissAction::cpu_load || action == MissAction::degrade;
}

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

}  // namespace

// Without a cost model nothing is known of times: every comparison with them is false.
double Interpreter::load_ms(const Context& context, uint32_t queued_before) const {
  const MeasuredInputs& measured = context.input->measured;
  if (!measured.has_cost_model) return kUnknown;
  return measured.queue_wait_ms + measured.transfer_ms * (static_cast<double>(queued_before) + 1);
}

double Interpreter::cpu_ms(const Context& context, uint32_t tokens) const {
  const MeasuredInputs& measured = context.input->measured;
  if (!measured.has_cost_model) return kUnknown;
  return measured.cpu_setup_ms + static_cast<double>(tokens) * measured.cpu_token_ms;
}

// Actions of a dispatch's misses, in order; then max_loads, which keeps the loads of highest weight.
void Interpreter::choose_actions(std::vector<Miss>& misses, Context& context) {
  const uint32_t chosen_before = context.loads_chosen;
  std::vector<Miss*> loads;
  for (Miss& miss : misses) {
    // In order the first so many misses may load, whether they need to or not.
    const bool in_time = !context.rules->loads_in_order || context.misses_seen < context.rules->max_loads;
    context.misses_seen += 1;
    miss.action = action_of(*miss.expert, in_time, context);
    if (!is_load(miss.action)) continue;
    loads.push_back(&miss);
    context.loads_chosen += 1;
  }
  const uint64_t allowed = context.rules->max_loads > chosen_before ? context.rules->max_loads - chosen_before : 0;
  if (loads.size() <= allowed) return;
  std::stable_sort(loads.begin(), loads.end(),
                   [](const Miss* a, const Miss* b) { return a->expert->weight > b->expert->weight; });
  context.loads_chosen = chosen_before + static_cast<uint32_t>(allowed);
  for (size_t i = allowed; i < loads.size(); ++i) {
    loads[i]->action = action_of(*loads[i]->expert, /*may_load=*/false, context);
  }
}

// Whether an arm's action is possible now; one that is not sends the miss on to the next arm.
bool Interpreter::can_do(MissAction action, const ExpertDecision& expert, bool may_load, Context& context) {
  if (!is_load(action)) return true;
  // What is on its way behind is computed on the host until it has arrived.
  const bool on_its_way = is_resident(key_of(context.layer, expert.expert));
  if (!may_load || on_its_way) return false;
  const double deadline = context.rules->deadline_ms;
  if (deadline > 0 && load_ms(context, context.loads_chosen) > deadline) return false;
  if (action != MissAction::degrade) return true;
  const TierModel* tiers = tiers_of_layer(context.layer);
  return tiers != nullptr && tiers->has_lower_copy(key_of(context.layer, expert.expert));
}

MissAction Interpreter::action_of(const ExpertDecision& expert, bool may_load, Context& context) {
  const BoundRules& rules = *context.rules;
  const uint32_t key = key_of(context.layer, expert.expert);
  if (rules.balance) {  // a miss that is resident is given to the host, or on its way
    note_action(key, ActionReason::balanced, context);
    return context.on_cpu.contains(key) || is_resident(key) ? MissAction::cpu : MissAction::load;
  }
  if (rules.arms.empty()) {
    MissAction action = rules.miss;
    const bool compares = rules.hybrid && context.input->measured.has_cost_model;
    if (compares) {
      const double transfer = load_ms(context, context.loads_chosen);
      action = transfer > cpu_ms(context, expert.num_selections) ? MissAction::cpu : MissAction::load;
    }
    const bool possible = can_do(action, expert, may_load, context);
    const ActionReason reason = compares ? ActionReason::cheaper : ActionReason::as_written;
    note_action(key, possible ? reason : ActionReason::not_possible, context);
    return possible ? action : MissAction::cpu;
  }
  ExpertEnvironment environment(*this, context, instance_of_layer(context.layer), key);
  for (uint32_t i = 0; i < rules.arms.size(); ++i) {
    const Arm& arm = rules.arms[i];
    const bool applies = arm.condition.empty() || evaluate(arm.condition, environment) != 0;
    if (!applies || !can_do(arm.action, expert, may_load, context)) continue;
    note_action(key, ActionReason::arm, context, i);
    return arm.action;
  }
  note_action(key, ActionReason::no_arm, context);
  return MissAction::cpu;
}

// HybriMoE's greedy schedule: the experts of the dispatch in a list, residents first, then by falling tokens. While
// the head's time on the GPU would end no later than the tail's on the CPU the GPU takes the head, else the CPU takes
// the tail. A load starts when the one before has ended, and the GPU waits for it. A resident may go to the CPU too.
void Interpreter::balance(Context& context) {
  const BoundRules& rules = *context.rules;
  Instance& instance = instance_of_layer(context.layer);
  struct Job {
    uint32_t key = 0, tokens = 0;
    bool here = false;
    double gpu = 0, cpu = 0, load = 0;
  };
  const auto time_of = [&](const Expr& expr, uint32_t key, double otherwise) {
    if (expr.empty()) return otherwise;
    ExpertEnvironment environment(*this, context, instance, key);
    return evaluate(expr, environment);
  };
  std::vector<Job> jobs;
  for (const ExpertDecision& expert : context.decision.experts) {
    Job job{key_of(context.layer, expert.expert), expert.num_selections};
    job.here = is_here(instance, job.key);
    job.gpu = time_of(rules.gpu_time, job.key, 0);
    job.cpu = time_of(rules.cpu_time, job.key, cpu_ms(context, job.tokens));
    job.load = time_of(rules.load_time, job.key, load_ms(context, 0));
    jobs.push_back(job);
  }
  std::stable_sort(jobs.begin(), jobs.end(),
                   [](const Job& a, const Job& b) { return a.here != b.here ? a.here : a.tokens > b.tokens; });
  double gpu = 0, cpu = 0, link = 0;
  for (size_t head = 0, tail = jobs.size(); head < tail;) {
    const Job& first = jobs[head];
    const Job& last = jobs[tail - 1];
    const double arrival = first.here ? 0 : link + first.load;
    const double gpu_done = std::max(gpu, arrival) + first.gpu;
    const double setup = context.on_cpu.empty() ? time_of(rules.cpu_setup, last.key, 0) : 0;
    const double cpu_done = cpu + last.cpu + setup;
    if (!(gpu_done > cpu_done)) {  // a time that nobody knows sends nothing to the host
      gpu = gpu_done;
      if (!first.here) link = arrival;
      ++head;
    } else {
      cpu = cpu_done;
      context.on_cpu.insert(last.key);
      --tail;
    }
  }
}

// Step 3 for one miss.
Action Interpreter::act_on_miss(const Miss& miss, Context& context) {
  switch (miss.action) {
    case MissAction::cpu:
      return Action::cpu;
    case MissAction::shared:
      return Action::shared;
    case MissAction::skip:
      return Action::skip;
    case MissAction::load:
      if (try_load(*miss.expert, miss.access_number, context)) return Action::load;
      pass_through(key_of(context.layer, miss.expert->expert), context);
      return Action::stream;
    case MissAction::cpu_load:
      return try_load(*miss.expert, miss.access_number, context, context.rules->arrival != 0) ? Action::cpu_load
                                                                                              : Action::cpu;
    case MissAction::degrade:
      (void)try_load(*miss.expert, miss.access_number, context);
      return Action::degrade;
  }
  return Action::stream;
}

// False: not admitted, or no place and no victim.
bool Interpreter::try_load(const ExpertDecision& expert, uint64_t access_number, Context& context, bool behind) {
  Instance& instance = instance_of_layer(context.layer);
  const BoundRules& rules = *context.rules;
  const uint32_t key = key_of(context.layer, expert.expert);
  context.cause = Cause::demand;
  if (instance.order[0]) instance.order[0]->miss(key);
  if (rules.admit == Admit::never) return refused(key, Refusal::admit_never, {}, context);
  const bool by_share = rules.eviction == Eviction::freq_threshold;
  if (by_share && !(share(instance, key) >= rules.freq_threshold)) {
    return refused(key, Refusal::below_threshold, {}, context);
  }
  const Place place = find_place(instance, key, nullptr, unprotected(instance, context), context);
  if (!place.found) return refused(key, Refusal::no_place, place, context);
  if (!admits(rules.admit, instance, key, place, context)) return refused(key, Refusal::not_admitted, place, context);
  const bool newcomer_is_candidate = by_share && !rules.protect_selected && place.leaver;
  if (newcomer_is_candidate && share(instance, key) < share(instance, *place.leaver)) {
    return refused(key, Refusal::smallest_share, place, context);
  }

  Resident state;
  state.last_use = access_number;
  state.loaded_at = access_number;
  state.uses = 1;
  state.freq = 1;
  state.ema = expert.weight;
  if (behind) state.arrives = layer_dispatches_[context.layer] + rules.arrival + 1;
  take_place(instance, place, key, state, context);
  return true;
}

}  // namespace moe::ir
