// SPDX-License-Identifier: Apache-2.0
// Metrics: what conditions read of the cache as a whole. Counters of the monitor's window are kept as sums, so that a
// rate is one division; what is measured is added up when it is read, oldest first.
#pragma once
#include "runtime/base/math.h"
#include "runtime/decision/context.h"

namespace moe::decision {

/// An access to what is in `r`; of a miss that is nobody's place, whose flags are never set.
template <class Rule>
MOE_INLINE void note_access(Context<Rule>& ctx, Resident& r, bool hit) {
  ctx.hits += hit;
  if (!keeps(ctx.p, kCountsPrefetches) || (r.flags & kUnusedPrefetch) == 0) return;
  ++ctx.prefetch_used;
  r.flags &= ~static_cast<uint32_t>(kUnusedPrefetch);
}

/// The layer's dispatch used these experts.
template <class Rule>
inline void note_routing(Context<Rule>& ctx, const uint32_t* experts, uint32_t n) {
  uint32_t* const counts = ctx.s.entropy_counts(ctx.layer);
  uint64_t& total = ctx.s.entropy_total(ctx.layer);
  const uint64_t number = ctx.s.entropy_length(ctx.layer)++;
  uint64_t* const bits = ctx.s.entropy_bits(ctx.layer, number % ctx.p.entropy_window);
  for (uint32_t word = 0; word < ctx.s.bit_words(); ++word) {
    for (uint64_t rest = bits[word]; rest != 0; rest &= rest - 1) {
      --counts[word * 64 + static_cast<uint32_t>(std::countr_zero(rest))];
      --total;
    }
    bits[word] = 0;
  }
  for (uint32_t j = 0; j < n; ++j) {
    bits[experts[j] / 64] |= uint64_t{1} << (experts[j] % 64);
    ++counts[experts[j]];
  }
  total += n;
}

/// log2(n) - (sum of c log2 c) / n over the counts of the layer's window, by ascending expert; NaN when it is empty.
inline double entropy(const Params& p, const State& s, uint32_t layer) {
  if (s.entropy_total(layer) == 0) return __builtin_nan("");
  const double total = static_cast<double>(s.entropy_total(layer));
  const uint32_t* const counts = s.entropy_counts(layer);
  double sum = 0;
  for (uint32_t e = 0; e < p.num_experts; ++e) {
    if (counts[e] == 0) continue;
    const double c = counts[e];
    sum += c * math::log2(c);
  }
  return math::log2(total) - sum / total;
}

MOE_INLINE double ratio(uint64_t part, uint64_t whole) {
  return whole == 0 ? __builtin_nan("") : static_cast<double>(part) / static_cast<double>(whole);
}

/// The mean of a measured value over the window.
inline double mean_of_samples(const Params& p, const State& s, double Sample::* value) {
  const uint64_t count = s.sample_sums().count;
  const uint64_t length = count < p.monitor_window ? count : p.monitor_window;
  if (length == 0) return __builtin_nan("");
  double sum = 0;
  for (uint64_t j = count - length; j < count; ++j) sum += s.samples()[j % p.monitor_window].*value;
  return sum / static_cast<double>(length);
}

/// Slots of all instances.
inline uint64_t num_slots(const Params& p, const State& s) {
  if (p.room.capacity_varies == kCapacityFixed) return uint64_t{p.capacity} * p.num_instances();
  uint64_t slots = 0;
  for (uint32_t i = 0; i < p.num_instances(); ++i) slots += s.instance(i).capacity;
  return slots;
}

inline double metric(const Frame& f, const State& s, Metric which) {
  const Params& p = *f.params;
  const Measured* const m = f.input->measured;
  const double kv_used = m == nullptr ? 0.0 : m->kv_used;
  const double used = static_cast<double>(s.header().num_resident) * p.expert_bytes + kv_used;
  switch (which) {
    case Metric::hit_rate:
      return ratio(s.sample_sums().hits, s.sample_sums().accesses);
    case Metric::miss_rate:
      return ratio(s.sample_sums().accesses - s.sample_sums().hits, s.sample_sums().accesses);
    case Metric::eviction_rate:
      return ratio(s.sample_sums().evictions, s.sample_sums().accesses);
    case Metric::prefetch_accuracy:
      return ratio(s.sample_sums().prefetch_used, s.sample_sums().prefetched);
    case Metric::prefetch_coverage:
      return ratio(s.sample_sums().prefetch_used, s.sample_sums().accesses);
    case Metric::stall_ms:
      return mean_of_samples(p, s, &Sample::stall_ms);
    case Metric::link_gbps:
      return mean_of_samples(p, s, &Sample::link_gbps);
    case Metric::tokens_per_s:
      return mean_of_samples(p, s, &Sample::tokens_per_s);
    case Metric::queue_depth:
      return m == nullptr ? 0.0 : m->queue_depth;
    case Metric::memory_used:
      return used;
    case Metric::memory_free: {
      const double slots = static_cast<double>(num_slots(p, s)) * p.expert_bytes;
      const double rest = (p.memory_budget_bytes != 0 ? p.memory_budget_bytes : slots) - used;
      return rest > 0 ? rest : 0;
    }
    case Metric::cache_fill:
      return static_cast<double>(s.header().num_resident) / static_cast<double>(num_slots(p, s));
    case Metric::kv_used:
      return kv_used;
    case Metric::entropy:
      return entropy(p, s, f.layer);
    case Metric::phase:
      return f.input->phase;
    case Metric::batch:
      return f.input->num_tokens;
    case Metric::capacity:
      return p.room.capacity_varies == kCapacityFixed ? p.capacity : s.instance(s.instance_of_layer(f.layer)).capacity;
  }
  return 0;
}

/// The dispatch enters the window, and the oldest leaves it.
inline void add_sample(const Params& p, const State& s, const Progress& dispatch, const Output& out) {
  SampleSums& sums = s.sample_sums();
  Sample& sample = s.samples()[sums.count % p.monitor_window];
  if (sums.count >= p.monitor_window) {
    sums.accesses -= sample.accesses;
    sums.hits -= sample.hits;
    sums.evictions -= sample.evictions;
    sums.prefetched -= sample.prefetched;
    sums.prefetch_used -= sample.prefetch_used;
  }
  ++sums.count;
  sample.accesses = out.num_entries;
  sample.hits = dispatch.hits;
  sample.evictions = dispatch.num_evicted;
  sample.prefetched = out.num_prefetched;
  sample.prefetch_used = dispatch.prefetch_used;
  sums.accesses += sample.accesses;
  sums.hits += sample.hits;
  sums.evictions += sample.evictions;
  sums.prefetched += sample.prefetched;
  sums.prefetch_used += sample.prefetch_used;
  if (!keeps(p, kKeepsMeasured)) return;
  const Measured* const m = dispatch.frame.input->measured;
  sample.stall_ms = m == nullptr ? 0 : m->stall_ms;
  sample.link_gbps = m == nullptr ? 0 : m->link_gbps;
  sample.tokens_per_s = m == nullptr ? 0 : m->tokens_per_s;
}

/// What rules look back on: values at the end of each dispatch, of which header().dispatches counts this one too.
template <class Rule>
inline void remember(Context<Rule>& ctx) {
  for (uint32_t j = 0; j < ctx.p.num_remembered; ++j) {
    const Remembered& r = ctx.p.remembered[j];
    const uint64_t slot = (ctx.s.header().dispatches - 1) % r.window;
    ctx.s.remembered(r.first)[slot] = metric(ctx.frame, ctx.s, static_cast<Metric>(r.metric));
  }
}

/// The last `window` values of what Params::remembered[which] keeps, oldest first: how many, and each by its place.
class LookBack {
 public:
  MOE_INLINE LookBack(const Params& p, const State& s, uint32_t which, uint32_t window)
      : values_(s.remembered(p.remembered[which].first)), kept_(p.remembered[which].window) {
    const uint64_t number = s.header().dispatches;
    count_ = static_cast<uint32_t>(number < window ? number : window);
    first_ = number - count_;
  }
  MOE_INLINE uint32_t count() const { return count_; }
  MOE_INLINE double operator()(uint32_t i) const { return values_[(first_ + i) % kept_]; }

 private:
  const double* values_;
  uint32_t kept_;
  uint32_t count_;
  uint64_t first_;
};

}  // namespace moe::decision
