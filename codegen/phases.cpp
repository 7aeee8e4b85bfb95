// SPDX-License-Identifier: Apache-2.0
// The phases that policies share (runtime/decision/phases.h), as an object of their own (shared_object.cpp): from the
// kernels' headers, with the constants read at run time and the layout from the policy's table. In a namespace of its
// own, since a program has the kernels with other constants under the same names.
#define decision phases
#define MOE_PHASES
#include "runtime/decision/kernel.h"

#define MOE_PHASE extern "C" __attribute__((visibility("hidden")))
// Compiled for several levels of x86-64 (`_v3`), each under names of its own.
#define MOE_JOIN_(a, b) a##b
#define MOE_JOIN(a, b) MOE_JOIN_(a, b)
#define MOE_AT_LEVEL(name) MOE_JOIN(name, MOE_LEVEL)

namespace moe::phases {

namespace {

/// Whether nothing changes, no expression is asked, and nothing is kept but the cache and the windows of history: of
/// most policies.
bool is_simple(const Params& p) {
  const uint32_t others = p.keeps | p.has_prefetch_evict | p.next_strategies | p.learn_window | p.num_remembered |
                          p.has_when | p.has_order | p.num_arms | p.has_drop | p.balance_times | p.balance |
                          p.num_tier_sets | (p.admit & kAdmitWhen) | (p.prefetch_admit & kPrefetchWhen);
  return others == 0 && p.changes == nullptr && p.eviction < static_cast<uint32_t>(Eviction::least) &&
         p.strategy <= static_cast<uint32_t>(Strategy::gate);
}

/// Calls `use` with the constants: for a simple policy under the rule `eviction` a copy in which what is_simple() asks
/// is known to the compiler, so that what is done for others folds away.
template <class Use>
MOE_INLINE auto with_constants(const Params& p, Use use) {
  if (!is_simple(p)) return use(p);
  Params its = p;
  its.changes = nullptr;
  its.keeps = its.has_prefetch_evict = its.next_strategies = its.learn_window = its.num_remembered = 0;
  its.admit = its.admit == kAdmitNever ? kAdmitNever : kAdmitAlways;
  its.prefetch_admit = its.prefetch_admit == kPrefetchNever ? kPrefetchNever : kPrefetchAlways;
  its.has_when = its.has_order = its.num_arms = its.has_drop = its.balance_times = its.balance = its.num_tier_sets = 0;
  its.room = {};
  return use(its);
}

template <class Use>
MOE_INLINE auto as_they_are(const Params& p, Use use) {
  return use(p);
}

/// Likewise of a rule, where there is one cache.
template <Eviction kRule, class Use>
MOE_INLINE auto with_constants_of(const Params& p, Use use) {
  if (p.scope_layer != 0 || !is_simple(p)) return use(p);
  return with_constants(p, [&](Params its) __attribute__((always_inline)) {
    its.eviction = static_cast<uint32_t>(kRule);
    its.scope_layer = 0;
    return use(its);
  });
}

/// Calls `use` with constants of which the numbers of many models are known.
template <class Use>
MOE_INLINE auto with_shape(const Params& p, Use use) {
  const auto with_experts = [&](uint32_t num_experts) __attribute__((always_inline)) {
    return with_constants(p, [&](Params its) __attribute__((always_inline)) {
      its.num_experts = num_experts;
      return use(its);
    });
  };
  switch (p.num_experts) {
    case 60:
      return with_experts(60);
    case 64:
      return with_experts(64);
    case 128:
      return with_experts(128);
    case 256:
      return with_experts(256);
    default:
      return with_constants(p, use);
  }
}

template <class Use>
MOE_INLINE auto with_top_k(const Params& p, Use use) {
  const auto with = [&](uint32_t top_k) __attribute__((always_inline)) {
    return with_constants(p, [&](Params its) __attribute__((always_inline)) {
      its.top_k = top_k;
      return use(its);
    });
  };
  switch (p.top_k) {
    case 2:
      return with(2);
    case 4:
      return with(4);
    case 6:
      return with(6);
    case 8:
      return with(8);
    default:
      return with_constants(p, use);
  }
}

}  // namespace

MOE_PHASE uint32_t MOE_AT_LEVEL(moe_phase_collect)(const Params* p, const Layout* at, void* block, const Input* in,
                                                   Output* out) {
  const Output arrays = *out;
  return with_top_k(*p, [&](const Params& its) __attribute__((always_inline)) {
    return collect(its, State(its, block, *at), block, *in, arrays, *out);
  });
}
MOE_PHASE uint32_t MOE_AT_LEVEL(moe_phase_collect_tokens)(const Params* p, const Layout* at, void* block,
                                                          const Input* in, Output* out) {
  return collect_tokens(*p, State(*p, block, *at), *in, *out);
}
MOE_PHASE void MOE_AT_LEVEL(moe_phase_sort_entries)(const Params* p, const Layout* at, void* block, const Input* in,
                                                    Output* out, uint32_t n) {
  Context<Lru> ctx(*p, *at, block, *in, *out, 0);
  sort_entries_here(ctx, *out, n);
}
MOE_PHASE void MOE_AT_LEVEL(moe_phase_record_history)(const Params* p, const Layout* at, void* block, const Input* in,
                                                      Output* out, uint32_t n) {
  with_shape(*p, [&](const Params& its) __attribute__((always_inline)) {
    Context<Lru> ctx(its, *at, block, *in, *out, 0);
    record_history_here(ctx, out->expert, n);
  });
}
MOE_PHASE uint64_t MOE_AT_LEVEL(moe_phase_offer_windows)(const Params* p, const Layout* at, void* block,
                                                         const Input* in, const Output* out, uint32_t strategy) {
  const auto offer = [&](const Params& its) __attribute__((always_inline)) {
    const Context<Lru> ctx(its, *at, block, *in, *out, 0);
    CandidateList<Lru> list(ctx);
    const uint64_t any = offer_layers_here(ctx, *in, static_cast<Strategy>(its.strategy), list) ? 1 : 0;
    return any << 32 | list.count();
  };
  return with_shape(*p, [&](Params its) __attribute__((always_inline)) {
    if (strategy == static_cast<uint32_t>(Strategy::history) && its.top == 0) {
      its.strategy = static_cast<uint32_t>(Strategy::history);
      its.top = 0;
      return offer(its);
    }
    its.strategy = strategy;
    return offer(its);
  });
}

MOE_PHASE void MOE_AT_LEVEL(moe_phase_sample)(const Params* p, const Layout* at, void* block, const Input* in,
                                              Output* out, uint32_t num_evicted, uint32_t hits,
                                              uint32_t prefetch_used) {
  const Progress dispatch{in->layer,    0, 0, nullptr, num_evicted, Frame{p, block, in, out, in->layer, 0}, hits,
                          prefetch_used};
  add_sample(*p, State(*p, block, *at), dispatch, *out);
}

namespace {

/// An instance's queues, outside a dispatch.
struct Queues {
  const Params& p;
  State s;
  uint32_t capacity(uint32_t i) const { return p.room.capacity_varies != 0 ? s.instance(i).capacity : p.capacity; }
};

}  // namespace

MOE_PHASE void MOE_AT_LEVEL(moe_phase_lirs_restore)(const Params* p, const Layout* at, void* block, uint32_t i) {
  Queues queues{*p, State(*p, block, *at)};
  Lirs::restore_here(queues, i);
}

// A phase `what` of a rule; `with` chooses the constants that it gets.
#define MOE_DEFINE_PHASE(what, name, Rule, with, ...)                                                              \
  MOE_PHASE uint32_t MOE_AT_LEVEL(moe_phase_##what##_##name)(const Params* p, const Layout* at, void* block,       \
                                                             const Input* in, Output* out, uint32_t num_evicted) { \
    return with(*p, [&](const Params& its) __attribute__((always_inline)) {                                        \
      Context<Rule> ctx(its, *at, block, *in, *out, num_evicted);                                                  \
      __VA_ARGS__;                                                                                                 \
      return ctx.num_evicted;                                                                                      \
    });                                                                                                            \
  }
#define MOE_DEFINE_EVICT_PHASES(name, Rule)                               \
  MOE_DEFINE_PHASE(drop, name, Rule, as_they_are, drop_here(ctx, *in))    \
  MOE_DEFINE_PHASE(expire, name, Rule, with_constants_of<Eviction::name>, \
                   expire_here(ctx, ring_of_last_use(ctx), ctx.s.instance(ctx.instance).accesses - p->ttl))
#define MOE_DEFINE_PHASES(name, Rule)                                                                        \
  MOE_DEFINE_EVICT_PHASES(name, Rule)                                                                        \
  MOE_DEFINE_PHASE(relieve, name, Rule, with_constants_of<Eviction::name>, relieve_pressure_here(ctx))       \
  MOE_DEFINE_PHASE(install, name, Rule, as_they_are, install_anew(ctx))                                      \
  MOE_PHASE uint64_t MOE_AT_LEVEL(moe_phase_rule_##name)(const Params* p, const Layout* at, void* block,     \
                                                         const Input* in, Output* out, uint32_t num_evicted, \
                                                         uint32_t rule, uint32_t holds) {                    \
    Context<Rule> ctx(*p, *at, block, *in, *out, num_evicted);                                               \
    const uint64_t changed = step_rule_here(ctx, *p->changes, *out, rule, holds != 0) ? 1 : 0;               \
    return changed << 32 | ctx.num_evicted;                                                                  \
  }

MOE_DEFINE_PHASES(lru, Lru)
MOE_DEFINE_PHASES(fifo, Fifo)
MOE_DEFINE_PHASES(lfu, Lfu)
MOE_DEFINE_PHASES(score, Score)
MOE_DEFINE_PHASES(freq_threshold, FreqThreshold)
MOE_DEFINE_PHASES(sieve, Sieve)
MOE_DEFINE_PHASES(s3_fifo, S3Fifo)
MOE_DEFINE_PHASES(arc, Arc)
MOE_DEFINE_PHASES(lirs, Lirs)
MOE_DEFINE_PHASES(w_tinylfu, WTinyLfu)
MOE_DEFINE_PHASES(random, Random)
MOE_DEFINE_EVICT_PHASES(least, Least)

}  // namespace moe::phases
