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

moe_status Dispatcher::decide(const moe_dispatch_args& args, decision::Output& output) {
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
  output = current_->output();
  if (parts_.log) parts_.log->before(*current_, parts_.hints);
  if (current_->decide(input, output) == decision::kOk) {
    if (parts_.log) parts_.log->record(input, output, parts_.hints);
    return MOE_OK;
  }
  const moe_status status = check_routing(args, dims_.shape.num_experts);
  return status ? status : fail(MOE_INTERNAL, "the policy refused a valid dispatch");
}

moe_status Dispatcher::dispatch(const moe_dispatch_args& args, moe_plan& out) {
  if (const moe_status status = check(args)) return status;
  const uint64_t begin = parts_.timeline ? Timeline::now() : 0;
  Plan* plan = parts_.plans.claim();
  if (!plan) return fail(MOE_FULL, "%u plans are unreleased", dims_.max_plans);
  decision::Output output{};
  moe_status status = MOE_OK;
  if (!parts_.copies.has_room(dims_.max_entries())) {
    status = fail(MOE_FULL, "too many transfers wait for a slot: release plans first");
  } else {
    status = decide(args, output);
  }
  if (status) {
    show_transfers();
    parts_.plans.unclaim(*plan);
    return status;
  }
  num_dropped_ = 0;  // the kernel has seen them

  Counts counts;
  if (has_tiers_) move_between_tiers(args.layer, output);
  if (num_raises_ != 0) settle_raises();
  prefetch_copies(args.layer, output);
  start_plan(args, *plan, output, counts);
  end_residencies(*plan, output);
  if (num_aside_ != 0) settle_aside(args.layer);
  const uint32_t leaving = count_leaving(*plan);
  if (output.num_prefetched != 0 && parts_.plans.num_open() == 0) reserve_prefetches(*plan, output, leaving);
  place_misses(*plan, output, leaving);
  queue_loads();
  if (counts[metrics::kCpu] + counts[metrics::kDegraded] != 0) load_behind_plan(*plan, output);
  place_prefetches(*plan, output, counts);
  if (output.num_copies != 0) raise(output);
  if (current_->tiers().converts()) note_precisions(*plan, counts);
  for (uint32_t i = 0; i < output.num_dropped; ++i) entry_of_[output.dropped[i]] = kNone;
  show_transfers();
  const uint32_t dropped = group_selections(args, *plan);
  counts[metrics::kSelections] += dropped;
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

/// Misses of the cache overlap when all are asked for at once.
void Dispatcher::prefetch_copies(uint32_t layer, const decision::Output& output) const {
  const auto prefetch = [this](uint32_t key) {
    if (resident_[key] != kNone) parts_.copies.prefetch(resident_[key]);
  };
  const uint32_t first_key = layer * dims_.shape.num_experts;
  for (uint32_t i = 0; i < output.num_entries; ++i) prefetch(first_key + output.expert[i]);
  for (uint32_t i = 0; i < output.num_evicted; ++i) prefetch(output.evicted[i]);
}

/// The entries, with hits held: what leaves the cache in this dispatch stays where this plan says it is.
void Dispatcher::start_plan(const moe_dispatch_args& args, Plan& plan, const decision::Output& output, Counts& counts) {
  plan.layer = args.layer;
  plan.first_key = args.layer * dims_.shape.num_experts;
  plan.num_entries = output.num_entries;
  plan.settled = current_->rules().overlap != 0;
  uint32_t first_selection = 0;
  for (uint32_t i = 0; i < output.num_entries; ++i) {
    const uint32_t expert = output.expert[i];
    const uint32_t action = output.action[i];
    plan.entries[i] = {sizeof(moe_plan_entry), expert,           action, MOE_NO_SLOT, output.num_selections[i],
                       first_selection,        output.weight[i], 0,      nullptr};
    plan.copies[i] = kNone;
    plan.host_copies[i] = kNone;
    plan.done[i] = 0;
    entry_of_[expert] = i;
    next_selection_[i] = first_selection;
    first_selection += output.num_selections[i];
    counts[metrics::kLoads] += action == decision::kLoad;
    counts[metrics::kStreams] += action == decision::kStream;
    counts[metrics::kCpu] += action == decision::kCpu || action == decision::kCpuLoad;
    counts[metrics::kDegraded] += action == decision::kDegrade;
    if (is_left_out(action)) counts[metrics::kApproximated] += output.num_selections[i];
    if (action == decision::kHit) take_hit(plan, i, plan.first_key + expert, counts);
  }
  counts[metrics::kDispatches] = 1;
  counts[metrics::kTokens] = args.num_tokens;
  counts[metrics::kAccesses] = output.num_entries;
  counts[metrics::kSelections] = first_selection;
  counts[metrics::kMisses] = counts[metrics::kAccesses] - counts[metrics::kHits];
  counts[metrics::kEvictions] = output.num_evicted + num_left_;
}

void Dispatcher::take_hit(Plan& plan, uint32_t entry, uint32_t key, Counts& counts) {
  ++counts[metrics::kHits];
  counts[metrics::kPrefetchUsed] += parts_.counters.take_prefetched(key);
  const uint32_t copy = resident_[key];
  if (copy == kNone) {  // resident for the kernel only: place_misses loads it
    ++counts[metrics::kLateHits];
    return;
  }
  CopyTable& copies = parts_.copies;
  copies.hold(copy);
  plan.copies[entry] = copy;
  Phase phase = copies.phase(copy);
  if (phase == Phase::failed || phase == Phase::cancelled) {
    supply_again(copy);
    copies.retry(copy);
    phase = Phase::queued;
  } else if (phase == Phase::queued) {
    hurry_source(copy);
    copies.promote(copy);
  }
  moe_plan_entry& out = plan.entries[entry];
  if (CopyTable::has_slot(phase)) {
    out.slot = copies[copy].slot;
    out.data = parts_.plans.slot_data(out.slot);
  }
  if (phase != Phase::ready) {
    out.action = MOE_ACTION_LATE;
    ++counts[metrics::kLateHits];
  }
}

/// A key that came and went in this dispatch has no residency to end: place_misses finds out by itself.
void Dispatcher::end_residencies(Plan& plan, const decision::Output& output) {
  const uint32_t num_experts = dims_.shape.num_experts;
  uint32_t* pair = plan.evicted.data();
  auto list = [&](uint32_t key) {
    *pair++ = key / num_experts;
    *pair++ = key % num_experts;
  };
  for (uint32_t i = 0; i < num_left_; ++i) list(left_[i]);
  for (uint32_t i = 0; i < output.num_evicted; ++i) {
    list(output.evicted[i]);
    end_residency(output.evicted[i]);
  }
  plan.num_evicted = num_left_ + output.num_evicted;
  num_left_ = 0;
}

/// Counting sort: start_plan has noted where each entry's selections begin. Returns how many were dropped.
uint32_t Dispatcher::group_selections(const moe_dispatch_args& args, Plan& plan) {
  const auto num_selections = static_cast<uint32_t>(args.num_tokens * args.top_k);
  uint32_t num_dropped = 0;
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

void Dispatcher::finish_plan(const moe_dispatch_args& args, Plan& plan, Counts& counts, moe_plan& out) {
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
  out.entries = plan.entries.data();
  out.selections = plan.selections.data();
  out.evicted = plan.evicted.data();
  out.prefetched = plan.prefetched.data();
}

void Dispatcher::show_transfers() {
  const bool reads = parts_.host && parts_.host->end_dispatch();
  const bool fills = parts_.device && parts_.device->end_dispatch();
  queued_ = parts_.copies.end_dispatch() || reads || fills;
}

void Dispatcher::set_resident(uint32_t key, uint32_t copy) {
  resident_[key] = copy;
  count_resident(1);
}

void Dispatcher::end_residency(uint32_t key) {
  const bool unused = parts_.counters.take_prefetched(key) != 0;
  if (resident_[key] == kNone) return;
  if (num_raises_ != 0) end_raise(key);
  cancelled_ += unused && parts_.copies.phase(resident_[key]) == Phase::queued;  // it never starts
  parts_.copies.evict(resident_[key]);
  resident_[key] = kNone;
  count_resident(-1);
}

}  // namespace moe::core
