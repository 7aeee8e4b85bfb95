// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/dispatcher.h"

#include <algorithm>

#include "runtime/core/routing.h"
#include "runtime/last_error.h"

namespace moe::core {

using metrics::Counts;

Dispatcher::Dispatcher(const Dimensions& dimensions, const Parts& parts, const Allocator& allocator)
    : dims_(dimensions),
      parts_(parts),
      resident_(allocator, dims_.num_keys()),
      entry_of_(allocator, dims_.shape.num_experts),
      next_selection_(allocator, dims_.max_entries()),
      absent_(allocator, dims_.max_entries()),
      loads_(allocator, dims_.max_entries()),
      dropped_(allocator, dims_.max_resident()),
      left_(allocator, dims_.max_resident()),
      prefetches_(allocator, size_t{2} * dims_.num_slots),
      coming_(allocator, dims_.num_keys()),
      lower_copies_(allocator, dims_.max_entries()),
      raises_(allocator, dims_.max_resident()),
      contents_(dims_.shape, parts_.host, parts_.device, allocator),
      aside_(allocator, dims_.num_keys()),
      passed_(allocator, dims_.shape.num_layers) {
  std::fill(resident_.begin(), resident_.end(), kNone);
}

moe_status Dispatcher::check(const moe_dispatch_args& args) const {
  if (!current_ && !next_.load(std::memory_order_relaxed)) return fail(MOE_INVALID, "no policy is attached");
  if (args.layer >= dims_.shape.num_layers) {
    return fail(MOE_INVALID, "layer %u is not below %u", args.layer, dims_.shape.num_layers);
  }
  if (args.num_tokens == 0 || args.num_tokens > dims_.max_tokens) {
    return fail(MOE_INVALID, "num_tokens is %u, not in 1..%u", args.num_tokens, dims_.max_tokens);
  }
  if (args.top_k != dims_.shape.top_k) {
    return fail(MOE_INVALID, "top_k is %u, the runtime's is %u", args.top_k, dims_.shape.top_k);
  }
  if (args.phase > MOE_PHASE_PREFILL) return fail(MOE_INVALID, "phase is %u, not a moe_phase", args.phase);
  if (!args.ids) return fail(MOE_INVALID, "`ids` is NULL");
  return args.probabilities ? check_probabilities(args, dims_.shape.num_experts) : MOE_OK;
}

inline moe_status Dispatcher::decide(const moe_dispatch_args& args) {
  if (next_.load(std::memory_order_relaxed)) {
    // A swap changes what is resident; a dispatch that fails changes nothing.
    if (const moe_status status = check_routing(args, dims_.shape.num_experts)) return status;
    take_swap();
  }
  collect_dropped();
  decision::Input input{};
  input.layer = args.layer;
  input.num_tokens = args.num_tokens;
  input.top_k = args.top_k;
  input.ids = args.ids;
  input.weights = args.weights;
  input.dropped = dropped_.data();
  input.num_dropped = num_dropped_;
  input.hints = parts_.hints.take();
  input.phase = args.phase == MOE_PHASE_PREFILL ? 0 : 1;
  input.request = args.request_ids ? args.request_ids[0] : 0;
  input.probabilities = args.probabilities;
  decision::Output& output = current_->output();
  if (parts_.log) parts_.log->before(*current_, parts_.hints);
  if (current_->decide(input, output) == decision::kOk) {
    if (parts_.log) parts_.log->record(input, output, parts_.hints);
    return MOE_OK;
  }
  const moe_status status = check_routing(args, dims_.shape.num_experts);
  return status ? status : fail(MOE_INTERNAL, "the policy refused a valid dispatch");
}

/// Before the decision, which takes longer than they do: what it will find to be hits. Ids are not checked yet.
inline void Dispatcher::prefetch_hits(const moe_dispatch_args& args) const {
  constexpr uint64_t kMost = 16;  // of a batch that is decided for longer than this takes: the first
  const auto num_selections = static_cast<uint32_t>(std::min(uint64_t{args.num_tokens} * args.top_k, kMost));
  const uint32_t* const resident = resident_.data() + args.layer * dims_.shape.num_experts;
  for (uint32_t i = 0; i < num_selections; ++i) {
    const auto expert = std::min(static_cast<uint32_t>(args.ids[i]), dims_.shape.num_experts - 1);
    parts_.copies.prefetch(std::min(resident[expert], parts_.copies.nobodys()));
  }
}

/// Misses of the cache overlap when all are asked for at once.
inline void Dispatcher::prefetch_leavers(const decision::Output& output) const {
  for (uint32_t i = 0; i < output.num_evicted; ++i) {
    parts_.copies.prefetch(std::min(resident_[output.evicted[i]], parts_.copies.nobodys()));
  }
}

/// The entries, but for where their experts are.
inline void Dispatcher::start_plan(const moe_dispatch_args& args, Plan& plan, const decision::Output& output) {
  plan.layer = args.layer;
  plan.first_key = args.layer * dims_.shape.num_experts;
  plan.num_entries = output.num_entries;
  plan.settled = current_->rules().overlap != 0;
  uint32_t first_selection = 0;
  for (uint32_t i = 0; i < output.num_entries; ++i) {
    moe_plan_entry& entry = plan.entries[i];
    entry.struct_size = sizeof(moe_plan_entry);
    entry.expert = output.expert[i];
    entry.num_selections = output.num_selections[i];
    entry.first_selection = first_selection;
    entry.weight = output.weight[i];
    entry.precision = MOE_PRECISION_NATIVE;
    first_selection += output.num_selections[i];
  }
}

/// What leaves the cache in this dispatch stays where this plan says it is. Hits and misses come as they please, and a
/// mispredicted branch costs more than an entry: so a miss holds nobody's copy.
inline void Dispatcher::hold_hits(Plan& plan, const decision::Output& output, Counts& counts) {
  CopyTable& copies = parts_.copies;
  const uint32_t nobodys = copies.nobodys();
  // Locals, for an atomic store might change any member.
  const uint32_t* const resident = resident_.data() + plan.first_key;
  const Plans::Tier tier = parts_.plans.tier();
  const uint32_t num_entries = output.num_entries;
  const uint32_t* const experts = output.expert;
  const uint8_t* const actions = output.action;
  moe_plan_entry* entry = plan.entries;
  uint32_t* const held_copies = plan.copies;
  uint32_t* const absent = absent_.data();
  uint32_t of_action[16] = {};
  uint32_t num_absent = 0, num_late = 0;
  for (uint32_t i = 0; i < num_entries; ++i, ++entry) {
    uint32_t action = actions[i];
    ++of_action[action % 16];
    const uint32_t held = resident[experts[i]] | (0u - uint32_t{action != decision::kHit});  // kNone: nobody
    const uint32_t copy = std::min(held, nobodys);
    const Phase phase = copies.hold(copy);
    uint32_t slot;
    if (phase == Phase::ready) {
      slot = copies[copy].slot;
    } else {
      slot = slot_of_late_hit(copy, phase);
      action = MOE_ACTION_LATE;
      ++num_late;
    }
    entry->action = action;
    entry->slot = slot;
    entry->data = tier.data_or_null(slot);
    held_copies[i] = held;
    absent[num_absent] = i;
    num_absent += held == kNone;
  }
  num_absent_ = num_absent;
  const uint32_t num_hits = of_action[decision::kHit];
  counts[metrics::kHits] = num_hits;
  counts[metrics::kMisses] = num_entries - num_hits;
  // Resident for the kernel only are those that place_misses loads.
  counts[metrics::kLateHits] = num_late + num_hits - (num_entries - num_absent);
  counts[metrics::kLoads] = of_action[decision::kLoad];
  counts[metrics::kStreams] = of_action[decision::kStream];
  counts[metrics::kCpu] = of_action[decision::kCpu] + of_action[decision::kCpuLoad];
  counts[metrics::kDegraded] = of_action[decision::kDegrade];
  const bool left_out = of_action[decision::kShared] + of_action[decision::kSkip] != 0;
  if (!left_out && !parts_.counters.any_prefetched()) return;
  for (uint32_t i = 0; i < num_entries; ++i) {
    const uint32_t action = actions[i];
    if (is_left_out(action)) counts[metrics::kApproximated] += output.num_selections[i];
    if (action != decision::kHit) continue;
    counts[metrics::kPrefetchUsed] += parts_.counters.take_prefetched(plan.first_key + experts[i]);
  }
}

/// A hit whose bytes are not there yet: sees to it that they come. Its slot, if it has one.
uint32_t Dispatcher::slot_of_late_hit(uint32_t copy, Phase phase) {
  CopyTable& copies = parts_.copies;
  if (phase == Phase::failed || phase == Phase::cancelled) {
    supply_again(copy);
    copies.retry(copy);
    return copies[copy].slot;  // neither ever waits for one
  }
  if (phase == Phase::queued) {
    hurry_source(copy);
    copies.promote(copy);
  }
  return CopyTable::has_slot(phase) ? copies[copy].slot : MOE_NO_SLOT;
}

/// A key that came and went in this dispatch has no residency to end: place_misses finds out by itself.
/// Whether somebody may still hold what left.
inline bool Dispatcher::end_residencies(Plan& plan, const decision::Output& output) {
  const uint32_t num_experts = dims_.shape.num_experts;
  const uint32_t num_evicted = output.num_evicted;
  bool some_held = false;
  uint32_t* pair = plan.evicted;
  auto list = [&](uint32_t key) {
    *pair++ = key / num_experts;
    *pair++ = key % num_experts;
  };
  for (uint32_t i = 0; i < num_left_; ++i) list(left_[i]);
  for (uint32_t i = 0; i < num_evicted; ++i) {
    const uint32_t key = output.evicted[i];
    list(key);
    some_held |= !end_residency(key);
  }
  plan.num_evicted = num_left_ + num_evicted;
  num_left_ = 0;
  return some_held;
}

/// Returns how many were dropped.
inline uint32_t Dispatcher::group_selections(const moe_dispatch_args& args, Plan& plan,
                                             const decision::Output& output) {
  const auto num_selections = static_cast<uint32_t>(args.num_tokens * args.top_k);
  bool sorted = output.num_entries == num_selections;  // nobody was selected twice, and `order` changed nothing
  for (uint32_t i = 0; sorted && i < num_selections; ++i) {
    plan.selections[i] = i;
    sorted = output.expert[i] == static_cast<uint32_t>(args.ids[i]);
  }
  if (sorted) return 0;
  for (uint32_t i = 0; i < output.num_entries; ++i) {
    entry_of_[output.expert[i]] = i;
    next_selection_[i] = plan.entries[i].first_selection;
  }
  for (uint32_t i = 0; i < output.num_dropped; ++i) entry_of_[output.dropped[i]] = kNone;
  uint32_t num_dropped = 0;  // and a counting sort
  for (uint32_t i = 0; i < num_selections; ++i) {
    const uint32_t entry = entry_of_[static_cast<uint32_t>(args.ids[i])];
    if (entry == kNone) {
      ++num_dropped;
    } else {
      plan.selections[next_selection_[entry]++] = i;
    }
  }
  return num_dropped;
}

inline void Dispatcher::finish_plan(const moe_dispatch_args& args, Plan& plan, Counts& counts, moe_plan& out) {
  counts[metrics::kPrefetchCancelled] = std::exchange(cancelled_, 0);
  parts_.counters.record(args.layer, counts);
  parts_.hints.use_up(args.layer);
  passed_[args.layer] = number_++;
  parts_.plans.publish(plan);
  parts_.waker.announce(queued_);

  out.layer = plan.layer;
  out.id = plan.id.load(std::memory_order_relaxed);
  out.num_entries = plan.num_entries;
  out.num_evicted = plan.num_evicted;
  out.num_prefetched = plan.num_prefetched;
  out.entries = plan.entries;
  out.selections = plan.selections;
  out.evicted = plan.evicted;
  out.prefetched = plan.prefetched;
}

void Dispatcher::show_transfers() {
  const bool reads = parts_.host && parts_.host->end_dispatch();
  const bool fills = parts_.device && parts_.device->end_dispatch();
  queued_ = parts_.copies.end_dispatch() || reads || fills;
}

moe_status Dispatcher::dispatch(const moe_dispatch_args& args, moe_plan& out) {
  if (const moe_status status = check(args)) return status;
  const uint64_t begin = parts_.timeline ? Timeline::now() : 0;
  Plan* plan = parts_.plans.claim();
  if (!plan) return fail(MOE_FULL, "%u plans are unreleased", dims_.max_plans);
  moe_status status = MOE_OK;
  if (!parts_.copies.has_room(dims_.max_entries())) {
    status = fail(MOE_FULL, "too many transfers wait for a slot: release plans first");
  } else {
    prefetch_hits(args);
    parts_.counters.prefetch(args.layer);
    status = decide(args);
  }
  if (status) {
    show_transfers();
    parts_.plans.unclaim(*plan);
    return status;
  }
  num_dropped_ = 0;  // the kernel has seen them

  const decision::Output& output = current_->output();
  const bool sorts = current_->rules().priority_routing != 0;
  Counts counts;
  if (has_tiers_) move_between_tiers(args.layer, output);
  if (num_raises_ != 0) settle_raises();
  prefetch_leavers(output);
  start_plan(args, *plan, output);
  counts[metrics::kDispatches] = 1;
  counts[metrics::kTokens] = args.num_tokens;
  counts[metrics::kAccesses] = output.num_entries;
  counts[metrics::kEvictions] = output.num_evicted + num_left_;
  hold_hits(*plan, output, counts);
  bool some_held = end_residencies(*plan, output);
  if (num_aside_ != 0) {
    settle_aside(args.layer);
    some_held = true;  // what waited beside the cache and has not come to stay may be a hit of this plan
  }
  const uint32_t leaving = some_held ? count_leaving(*plan) : 0;
  if (output.num_prefetched != 0 && parts_.plans.num_open() == 0) reserve_prefetches(*plan, output, leaving);
  place_misses(*plan, output, leaving, sorts);
  if (sorts) queue_loads();
  if (counts[metrics::kCpu] + counts[metrics::kDegraded] != 0) load_behind_plan(*plan, output);
  place_prefetches(*plan, output, counts);
  if (output.num_copies != 0) raise(output);
  if (current_->tiers().converts()) note_precisions(*plan, counts);
  show_transfers();
  const uint32_t dropped = group_selections(args, *plan, output);
  counts[metrics::kSelections] = uint64_t{args.num_tokens} * args.top_k;
  counts[metrics::kApproximated] += dropped;
  finish_plan(args, *plan, counts, out);
  out.fired = output.fired;
  out.num_fired = output.num_fired;
  out.dropped = output.dropped;
  out.num_dropped = output.num_dropped;
  out.signals = nullptr;
  out.num_signals = 0;
  out.reserved = out.reserved2 = 0;
  if (output.num_fired != 0) {
    const std::span<const char* const> signals = current_->signals(output);
    out.signals = signals.data();
    out.num_signals = static_cast<uint32_t>(signals.size());
  }
  if (parts_.timeline) {
    const uint64_t queued = counts[metrics::kLoads] + counts[metrics::kStreams] + counts[metrics::kPrefetched];
    parts_.timeline->add(Track::dispatches, {begin, Timeline::now(), plan->first_key,
                                             static_cast<uint32_t>(counts[metrics::kPrefetchCancelled]), queued});
  }
  return MOE_OK;
}

}  // namespace moe::core
