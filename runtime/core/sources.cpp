// SPDX-License-Identifier: Apache-2.0
// Dispatcher: where loads come from, and in which precision.
#include "runtime/core/dispatcher.h"

namespace moe::core {

using metrics::Counts;

/// Before any load of the dispatch asks for its source. Loads see the tiers as they were before it, and what is about
/// to be loaded or decoded stays where it is until it has been.
void Dispatcher::move_between_tiers(uint32_t layer, const decision::Output& output) {
  const uint32_t first_key = layer * dims_.shape.num_experts;
  const auto choose = [&](uint32_t key) { choose_source(*current_, key, wanted_precision(*current_, key)); };
  for (uint32_t i = 0; i < output.num_entries; ++i) {
    const uint32_t key = first_key + output.expert[i];
    if (output.action[i] != decision::kHit || resident_[key] == kNone) choose(key);
  }
  for (uint32_t i = 0; i < output.num_prefetched; ++i) choose(output.prefetched[i]);
  const TierTable& table = current_->tiers();
  for (uint32_t i = 0; i < output.num_copies; ++i) {
    const decision::CopyChoice& choice = output.copies[i];
    const uint32_t precision = table.precision_of(static_cast<decision::Dtype>(choice.dtype));
    if (choice.raised == 0) choose_source(*current_, choice.key, precision);
  }
  hold_lower_copies(layer, output);
  if (std::exchange(tiers_are_new_, false)) {
    contents_.adopt(table, current_->params(), current_->state());
  } else {
    contents_.apply(table, output);
  }
}

/// Of one that the kernel takes for resident, or that comes without a choice.
uint32_t Dispatcher::wanted_precision(const Instance& instance, uint32_t key) const {
  return instance.tiers().precision_of(decision::dtype_of_resident(instance.params(), instance.state(), key));
}

void Dispatcher::choose_source(const Instance& instance, uint32_t key, uint32_t wanted) {
  const LoadSource source = instance.tiers().source_of(key / dims_.shape.num_experts, contents_.of(key), wanted);
  coming_[key] = {static_cast<uint8_t>(source.precision), source.on_device && parts_.device != nullptr};
  if (coming_[key].from_beside) {
    parts_.device->keep(key, source.precision);
  } else if (parts_.host) {
    parts_.host->keep(key, source.precision);
  }
}

/// The copies that this dispatch computes with, before its own moves take them away.
void Dispatcher::hold_lower_copies(uint32_t layer, const decision::Output& output) {
  const std::span<const TierTable::Level> levels = current_->tiers().levels(layer);
  for (uint32_t i = 0; i < output.num_entries; ++i) {
    lower_copies_[i] = kNone;
    if (output.action[i] != decision::kDegrade || !parts_.device) continue;
    const uint32_t key = layer * dims_.shape.num_experts + output.expert[i];
    for (uint32_t tier = 1; tier < levels.size() && lower_copies_[i] == kNone; ++tier) {
      const bool holds = levels[tier].is_lower_copy && (contents_.of(key) >> tier & 1) != 0;
      if (holds) lower_copies_[i] = parts_.device->hold(key, levels[tier].precision);
    }
  }
}

/// Where the bytes of a claimed copy come from.
void Dispatcher::find_source(uint32_t copy, Queue queue, bool starts) {
  CopyTable& copies = parts_.copies;
  const uint32_t key = copies[copy].key;
  const Tag tag = copies.tag(copy);
  if (tag.from_beside) {
    const uint32_t source = parts_.device->hold(key, tag.precision);
    if (source != kNone) return copies.set_source(copy, source);
    copies.set_tag(copy, {tag.precision, false});  // the device's table was full when it was to come
  }
  if (parts_.host) copies.set_source(copy, parts_.host->source_of(key, tag.precision, queue, starts));
}

/// For one that failed or was cancelled and begins again.
void Dispatcher::supply_again(uint32_t copy) {
  const uint32_t source = parts_.copies.source(copy);
  if (source == kNone || parts_.copies.tag(copy).from_beside) {
    parts_.copies.end_source(copy);
    find_source(copy, Queue::demand, /*starts=*/true);
  } else {
    parts_.host->renew(source);
    parts_.host->urge(source);
  }
}

/// Of one that is queued, and that somebody now waits for.
void Dispatcher::hurry_source(uint32_t copy) {
  const uint32_t source = parts_.host ? parts_.copies.source(copy) : kNone;
  if (source != kNone && !parts_.copies.tag(copy).from_beside) parts_.host->urge(source);
}

/// A slot for the lower copy to be decoded into, for this plan only. False: the tier has none after all, so that the
/// expert has to be loaded.
bool Dispatcher::place_degraded(Plan& plan, uint32_t entry, uint32_t key) {
  const uint32_t lower = lower_copies_[entry];
  moe_plan_entry& out = plan.entries[entry];
  if (lower == kNone) {
    out.action = MOE_ACTION_LOAD;
    return false;
  }
  CopyTable& copies = parts_.copies;
  const uint32_t copy = copies.claim(key, 1, {parts_.device->copies().tag(lower).precision, true});
  plan.copies[entry] = copy;
  copies.set_source(copy, lower);
  if (!copies.take_slot(copy)) {
    copies.defer(copy);
    return true;
  }
  copies.queue(copy, Queue::decode);
  out.slot = copies[copy].slot;
  out.data = parts_.plans.slot_data(out.slot);
  return true;
}

/// What the engine computes with, where it is not the model's own weights.
void Dispatcher::note_precisions(Plan& plan, Counts& counts) const {
  for (uint32_t i = 0; i < plan.num_entries; ++i) {
    if (plan.copies[i] == kNone) continue;
    const uint32_t precision = parts_.copies.tag(plan.copies[i]).precision;
    if (precision == Precisions::kNative) continue;
    plan.entries[i].precision = static_cast<uint32_t>(parts_.precisions.format(precision));
    counts[metrics::kLowerPrecision] += plan.entries[i].num_selections;
  }
}

}  // namespace moe::core
