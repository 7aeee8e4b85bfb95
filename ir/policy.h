// SPDX-License-Identifier: Apache-2.0
// PolicyIR: what a policy says, checked, with every default filled in and every value's place in the source kept.
// Immutable value types: the frontend builds one, everything else reads it. Numbers that need a model (capacity in per
// cent or bytes, pins of "every layer") stay as written until ir/bind.h binds them to a shape.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/source.h"

namespace moe::ir {

enum class Eviction : uint8_t { lru, lfu, score, freq_threshold, fifo };
enum class Scope : uint8_t { global, layer };
enum class Admit : uint8_t { always, never };
enum class Strategy : uint8_t { none, history, lookahead, gate };
enum class ScheduleMode : uint8_t { gpu_only, cpu_fallback, hybrid };

/// The word of the language for a value, as it is written in a policy.
std::string_view to_word(Eviction);
std::string_view to_word(Scope);
std::string_view to_word(Admit);
std::string_view to_word(Strategy);
std::string_view to_word(ScheduleMode);

/// How large the fast tier is. Becomes slots when bound.
struct Capacity {
  enum class Kind : uint8_t { slots, ratio, bytes, automatic };
  Kind kind = Kind::slots;
  uint64_t amount = 0;  ///< slots or bytes
  double ratio = 0;     ///< of all experts, in (0, 1]
};

/// Pinned experts: inclusive ranges; no layer range: in every layer.
struct Pin {
  struct Range {
    uint32_t first = 0;
    uint32_t last = 0;
  };
  std::optional<Range> layers;
  Range experts;
};

/// What stays resident (`cache { ... }`).
struct CacheRule {
  Sourced<Capacity> capacity;
  Sourced<Scope> scope{Scope::global};
  Sourced<Eviction> eviction{Eviction::lru};
  Sourced<Admit> admit{Admit::always};
  std::vector<Sourced<Pin>> pins;
  Sourced<double> frequency_decay{0.95};            ///< (0, 1]
  Sourced<uint64_t> decay_interval{100};            ///< accesses, >= 1
  Sourced<double> score_ema_alpha{0.3};             ///< (0, 1]
  Sourced<double> freq_threshold{0.05};             ///< [0, 1]
  Sourced<uint64_t> freq_window{100};               ///< accesses, 1..2^20
  std::optional<Sourced<uint64_t>> ttl;             ///< accesses, >= 1
  std::optional<Sourced<double>> memory_threshold;  ///< (0, 1]; nullopt: no memory pressure rule
  Sourced<double> memory_headroom{0.7};             ///< (0, threshold]; the default is capped at 0.9 x threshold
  Sourced<double> memory_budget_gb{16.0};           ///< > 0
  Sourced<double> expert_size_gb{1.2};              ///< > 0; the model's own size wins when it is bound
  Sourced<bool> protect_selected{true};
};

/// What is fetched before it is asked for (`prefetch { ... }`).
struct PrefetchRule {
  Sourced<Strategy> strategy{Strategy::none};
  Sourced<uint32_t> budget{4};              ///< experts per dispatch, >= 1
  Sourced<uint32_t> lookahead{1};           ///< layers, >= 1
  Sourced<uint32_t> history_window{50};     ///< dispatches of a layer, 1..4096
  Sourced<double> affinity_threshold{0.3};  ///< [0, 1]
  Sourced<double> min_probability{0.0};     ///< [0, 1]
  Sourced<double> bandwidth{1.0};           ///< share of the link, (0, 1]
  Sourced<bool> cancel_stale{true};
};

/// What a miss does (`schedule { ... }`).
struct ScheduleRule {
  Sourced<ScheduleMode> mode{ScheduleMode::gpu_only};
  Sourced<double> offload_threshold_ms{50.0};  ///< > 0
  Sourced<bool> overlap{true};
  Sourced<bool> priority_routing{false};
};

/// What is measured (`monitor { ... }`).
struct MonitorRule {
  std::vector<Sourced<std::string>> metrics{Sourced<std::string>{"hit_rate"}};
  Sourced<uint32_t> window{100};       ///< dispatches, 1..4096
  Sourced<uint32_t> log_interval{50};  ///< dispatches, >= 1
};

/// One policy of a file.
struct Policy {
  Sourced<std::string> name;
  CacheRule cache;
  PrefetchRule prefetch;
  ScheduleRule schedule;
  std::optional<MonitorRule> monitor;  ///< nullopt: no block; the defaults above are in force
  SourceSpan span;                     ///< the whole policy
};

/// A whole file: at least one policy, names unique.
struct Module {
  std::vector<Policy> policies;
};

/// Canonical text: the policy language itself with every key explicit, so that it reads back as the same IR.
std::string print_text(const Policy& policy);
std::string print_text(const Module& module);
/// One JSON object per policy: name, cache, prefetch, schedule, monitor, exactness, timing_free.
std::string print_json(const Policy& policy);
std::string print_json(const Module& module);

/// Whether the model's output can differ from the fully resident run (semantics: Exactness).
enum class Exactness : uint8_t { exact, exact_on_host, approximate };
std::string_view to_word(Exactness);
Exactness exactness(const Policy& policy);

/// Whether decisions are a function of routing alone, so that every engine and a live run agree bit for bit.
bool timing_free(const Policy& policy);

/// Lists every broken invariant of the IR, one sentence each; empty when it holds. Run after every pass in debug
/// builds.
std::vector<std::string> verify(const Policy& policy);

}  // namespace moe::ir
