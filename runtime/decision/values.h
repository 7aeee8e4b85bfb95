// SPDX-License-Identifier: Apache-2.0
// What expressions read, one function for each variable: compiled to bitcode with the kernels, and inlined into each
// policy's expressions. docs/semantics.md says what each means. `place` is the expert's, kNone when it is not resident.
#pragma once
#include "runtime/decision/metrics.h"
#include "runtime/decision/predict/learner.h"
#include "runtime/decision/predict/told.h"
#include "runtime/decision/weight_rate.h"

namespace moe::decision {
namespace {

MOE_INLINE State state_of(const Frame& f) { return {*f.params, f.block}; }
MOE_INLINE uint32_t layer_of(const Frame& f, uint32_t key) { return key / f.params->num_experts; }

/// The instance's access counter: what recency and age are measured from.
MOE_INLINE uint64_t accesses(const Frame& f, const State& s, uint32_t key) {
  return s.instance(s.instance_of_layer(layer_of(f, key))).accesses;
}

/// The dispatch's entry of an expert; kNone: it did not select it.
MOE_INLINE uint32_t entry_of(const Frame& f, const State& s, uint32_t key) {
  const uint32_t expert = key - f.layer * f.params->num_experts;  // wraps for lower layers
  if (expert >= f.params->num_experts || s.stamps()[expert] != s.header().epoch) return kNone;
  return s.entry_of()[expert];
}

MOE_INLINE double weight(const Frame& f, const State& s, uint32_t key) {
  const uint32_t entry = entry_of(f, s, key);
  return entry == kNone ? 0.0 : static_cast<double>(f.output->weight[entry]) + 0.0;
}

MOE_INLINE double tokens(const Frame& f, const State& s, uint32_t key) {
  const uint32_t entry = entry_of(f, s, key);
  return entry == kNone ? 0.0 : static_cast<double>(f.output->num_selections[entry]);
}

}  // namespace

// Defines moe_value_NAME(frame, key, place) and moe_victim_NAME(frame, victim), which is 0 when nobody has to leave.
#define MOE_VALUE(name)                                                                            \
  MOE_INLINE double value_##name(const Frame& f, const State& s, uint32_t key, uint32_t place);    \
  extern "C" double moe_value_##name(const Frame* f, uint32_t key, uint32_t place) {               \
    return value_##name(*f, state_of(*f), key, place);                                             \
  }                                                                                                \
  extern "C" double moe_victim_##name(const Frame* f, uint32_t victim) {                           \
    if (victim == kNone) return 0;                                                                 \
    const State s = state_of(*f);                                                                  \
    return value_##name(*f, s, victim, s.place_of(victim));                                        \
  }                                                                                                \
  MOE_INLINE double value_##name([[maybe_unused]] const Frame& f, [[maybe_unused]] const State& s, \
                                 [[maybe_unused]] uint32_t key, [[maybe_unused]] uint32_t place)

MOE_VALUE(freq) { return place == kNone ? 0 : s.freq()[place]; }

MOE_VALUE(recency) {
  const uint64_t now = accesses(f, s, key);
  if (place != kNone) return static_cast<double>(now - s.resident(place).last_use);
  if (!keeps(*f.params, kKeepsLastAccess)) return math::kInfinity;  // nothing asks it of who is not resident
  const uint64_t last = s.last_access()[key];
  return last == 0 ? math::kInfinity : static_cast<double>(now - last);
}

MOE_VALUE(age) { return place == kNone ? 0 : static_cast<double>(accesses(f, s, key) - s.loaded_at()[place]); }
MOE_VALUE(uses) { return place == kNone ? 0 : static_cast<double>(s.resident(place).uses); }
MOE_VALUE(seen) { return s.seen()[key]; }

MOE_VALUE(request_uses) {
  return s.request_epoch()[key] == s.header().request_epoch ? static_cast<double>(s.request_uses()[key]) : 0;
}

MOE_VALUE(idle) {
  const uint64_t last = s.last_dispatch()[key];
  return last == 0 ? math::kInfinity : static_cast<double>(s.layer_dispatches()[layer_of(f, key)] - last);
}

MOE_VALUE(score) { return place == kNone ? weight(f, s, key) : s.resident(place).ema; }
MOE_VALUE(weight) { return weight(f, s, key); }
MOE_VALUE(tokens) { return tokens(f, s, key); }
MOE_VALUE(size) { return f.params->expert_bytes; }
MOE_VALUE(layer) { return layer_of(f, key); }
MOE_VALUE(expert) { return key % f.params->num_experts; }

// Layers until its layer runs next: the next layer is at 0, the layer in progress comes last.
MOE_VALUE(distance) {
  const uint32_t layers = f.params->num_layers;
  return (layer_of(f, key) + layers - f.layer + layers - 1) % layers;
}

MOE_VALUE(load_ms) { return load_ms(f); }
MOE_VALUE(cpu_ms) { return cpu_ms(f, tokens(f, s, key)); }

MOE_VALUE(position) {
  const uint32_t entry = entry_of(f, s, key);
  return entry == kNone ? 0 : static_cast<double>(s.entries()[entry].position);
}

MOE_VALUE(resident) {
  const uint32_t entry = entry_of(f, s, key);
  return entry != kNone && s.entries()[entry].was_resident != 0 ? 1 : 0;
}

MOE_VALUE(predicted) { return told(s)[key]; }
MOE_VALUE(value) { return s.at<double>(s.predict().values)[key]; }
MOE_VALUE(foretold) { return place == kNone ? 0 : s.foretold()[place]; }

#undef MOE_VALUE

/// `which`: Metric.
extern "C" double moe_metric(const Frame* f, uint32_t which) {
  return metric(*f, state_of(*f), static_cast<Metric>(which));
}
extern "C" double moe_look_back_avg_over(const Frame* f, uint32_t which, uint32_t window) {
  const LookBack values(*f->params, state_of(*f), which, window);
  return math::average(values.count(), values);
}
extern "C" double moe_look_back_max_over(const Frame* f, uint32_t which, uint32_t window) {
  const LookBack values(*f->params, state_of(*f), which, window);
  return math::largest(values.count(), values);
}
extern "C" double moe_look_back_trend(const Frame* f, uint32_t which, uint32_t window) {
  const LookBack values(*f->params, state_of(*f), which, window);
  return math::slope(values.count(), values);
}

extern "C" double moe_value_use_rate(const Frame* f, uint32_t key, uint32_t rate) {
  return state_of(*f).rate(rate)[key];
}
extern "C" double moe_victim_use_rate(const Frame* f, uint32_t victim, uint32_t rate) {
  return victim == kNone ? 0 : state_of(*f).rate(rate)[victim];
}

extern "C" double moe_value_steady(const Frame* f, uint32_t key, uint32_t part) {
  return state_of(*f).steady(part)[key];
}

extern "C" double moe_value_weight_rate(const Frame* f, uint32_t key, uint32_t rate) {
  return weight_rate(state_of(*f), *f->params, rate)[key];
}
extern "C" double moe_victim_weight_rate(const Frame* f, uint32_t victim, uint32_t rate) {
  return victim == kNone ? 0 : weight_rate(state_of(*f), *f->params, rate)[victim];
}

// The functions that expressions call: the same source as the interpreter's.
extern "C" double moe_math_exp(double x) { return math::exp(x); }
extern "C" double moe_math_log(double x) { return math::log(x); }
extern "C" double moe_math_log2(double x) { return math::log2(x); }
extern "C" double moe_math_sqrt(double x) { return math::sqrt(x); }
extern "C" double moe_math_floor(double x) { return math::floor(x); }
extern "C" double moe_math_sigmoid(double x) { return math::sigmoid(x); }
extern "C" double moe_math_fmod(double x, double y) { return math::fmod(x, y); }
extern "C" double moe_math_min(double x, double y) { return math::min(x, y); }
extern "C" double moe_math_max(double x, double y) { return math::max(x, y); }
extern "C" double moe_math_pow(double x, double y) { return math::pow(x, y); }

}  // namespace moe::decision
