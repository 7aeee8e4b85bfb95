// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/runtime.h"

#include "runtime/core/decision_log.h"
#include "runtime/core/engine.h"
#include "runtime/core/timeline.h"
#include "runtime/structs.h"

namespace moe::core {
namespace {

constexpr uint32_t kMaxLayers = 4096;
constexpr uint32_t kMaxPlans = 65534;
constexpr uint32_t kMaxStreamingSlots = 1u << 20;
constexpr uint64_t kMaxHeldEntries = 1u << 28;  // of all plans together: the table of copies is that long

moe_status check_config(moe_runtime_config& config) {
  const moe_model_shape& shape = config.shape;
  if (const moe_status status = abi::check_struct(&shape, "config->shape")) return status;
  if (shape.num_layers == 0 || shape.num_layers > kMaxLayers) {
    return fail(MOE_INVALID, "num_layers is %u, not in 1..%u", shape.num_layers, kMaxLayers);
  }
  if (shape.num_experts == 0 || shape.num_experts > decision::kMaxExperts) {
    return fail(MOE_INVALID, "num_experts is %u, not in 1..%u", shape.num_experts, decision::kMaxExperts);
  }
  if (shape.top_k == 0 || shape.top_k > shape.num_experts) {
    return fail(MOE_INVALID, "top_k is %u, not in 1..%u", shape.top_k, shape.num_experts);
  }
  if (config.streaming_slots == 0) config.streaming_slots = 2;
  if (config.streaming_slots == 1 || config.streaming_slots > kMaxStreamingSlots) {
    return fail(MOE_INVALID, "streaming_slots is %u, not in 2..%u", config.streaming_slots, kMaxStreamingSlots);
  }
  if (config.staging_slots == 0) config.staging_slots = 8;
  if (config.staging_slots == 1 || config.staging_slots > kMaxStreamingSlots) {
    return fail(MOE_INVALID, "staging_slots is %u, not in 2..%u", config.staging_slots, kMaxStreamingSlots);
  }
  if (config.max_plans == 0) config.max_plans = 8;
  if (config.max_plans > kMaxPlans) {
    return fail(MOE_INVALID, "max_plans is %u, not in 1..%u", config.max_plans, kMaxPlans);
  }
  if (config.max_tokens == 0) config.max_tokens = 4096;
  if (uint64_t{config.max_tokens} * shape.top_k > UINT32_MAX) {
    return fail(MOE_INVALID, "max_tokens is %u: more than 2^32 selections in a dispatch", config.max_tokens);
  }
  const uint64_t held = std::min(uint64_t{config.max_tokens} * shape.top_k, uint64_t{shape.num_experts});
  if (held * config.max_plans > kMaxHeldEntries) {
    return fail(MOE_INVALID, "max_plans is %u: too many for plans of %llu experts", config.max_plans,
                static_cast<unsigned long long>(held));
  }
  if (config.decision_log_bytes > logfmt::kMostBytes) {
    return fail(MOE_INVALID, "decision_log_bytes is %llu, more than %llu",
                static_cast<unsigned long long>(config.decision_log_bytes),
                static_cast<unsigned long long>(logfmt::kMostBytes));
  }
  if (config.timeline_bytes > logfmt::kMostBytes) {
    return fail(MOE_INVALID, "timeline_bytes is %llu, more than %llu",
                static_cast<unsigned long long>(config.timeline_bytes),
                static_cast<unsigned long long>(logfmt::kMostBytes));
  }
  if (config.reserved != 0) return fail(MOE_INVALID, "`reserved` is not 0");
  if (!config.alloc != !config.free) return fail(MOE_INVALID, "`alloc` and `free` go together: give both or none");
  return MOE_OK;
}

bool is_at(const decision::Tier& tier, decision::TierLocation location) {
  return tier.location == static_cast<uint32_t>(location);
}

/// Slots of the fast tier that the policy fills, those for streaming not among them.
uint32_t slots_of(const decision::Params& p) {
  return std::min(p.total_capacity() + decision::side_places(p), p.num_keys());
}

/// Whether the policy wants experts to stay on disk.
bool has_disk_tier(const decision::Params& p) {
  for (uint32_t i = 0; i < p.num_tier_sets; ++i) {
    const decision::TierSet& set = p.tier_sets[i];
    for (uint32_t tier = 1; tier < set.num_tiers; ++tier) {
      if (is_at(set.tiers[tier], decision::TierLocation::disk)) return true;
    }
  }
  return false;
}

/// Slots of host memory that the policy's host tiers want.
uint32_t host_tier_slots(const decision::Params& p) {
  uint64_t slots = 0;
  for (uint32_t i = 0; i < p.num_tier_sets; ++i) {
    const decision::TierSet& set = p.tier_sets[i];
    for (uint32_t tier = 1; tier < set.num_tiers; ++tier) {
      if (!is_at(set.tiers[tier], decision::TierLocation::host)) continue;
      slots += set.tiers[tier].holds_all ? p.num_keys() : set.tiers[tier].capacity;
    }
  }
  return static_cast<uint32_t>(std::min<uint64_t>(slots, p.num_keys()));
}

/// The number of slots for a first policy; 0: it does not fit, and the error is set.
uint32_t choose_slots(const moe_runtime& runtime, const moe_policy& policy) {
  const uint64_t slot_bytes = runtime.store.layout().slot_bytes;
  const uint64_t streaming = runtime.config.streaming_slots;
  const uint64_t wanted = slots_of(policy.params) + streaming;
  uint64_t slots = wanted;
  if (runtime.config.fast_bytes != 0) {
    const uint64_t useful = uint64_t{policy.params.num_keys()} + streaming;
    slots = std::min(runtime.config.fast_bytes / slot_bytes, useful);
  }
  if (slots >= wanted) return static_cast<uint32_t>(slots);
  fail(MOE_FULL,
       "policy `%s` needs %llu slots (%llu bytes): %u for its capacity and %llu for streaming; the fast tier of %llu "
       "bytes has %llu of %llu bytes each",
       policy.name.c_str(), static_cast<unsigned long long>(wanted),
       static_cast<unsigned long long>(wanted * slot_bytes), slots_of(policy.params),
       static_cast<unsigned long long>(streaming), static_cast<unsigned long long>(runtime.config.fast_bytes),
       static_cast<unsigned long long>(slots), static_cast<unsigned long long>(slot_bytes));
  return 0;
}

moe_status check_policy(const moe_runtime& runtime, const moe_policy& policy) {
  const moe_model_shape& shape = runtime.config.shape;
  const decision::Params& p = policy.params;
  if (p.num_layers != shape.num_layers || p.num_experts != shape.num_experts || p.top_k != shape.top_k) {
    return fail(MOE_INVALID, "policy `%s` is for %ux%ux%u (layers x experts x top-k), the runtime for %ux%ux%u",
                policy.name.c_str(), p.num_layers, p.num_experts, p.top_k, shape.num_layers, shape.num_experts,
                shape.top_k);
  }
  if (const char* clause = decision::beyond_engines(p)) {
    return fail(MOE_UNSUPPORTED, "policy `%s` decides by `%s`, which plans do not carry yet: only a replay can run it",
                policy.name.c_str(), clause);
  }
  if (const auto missing = runtime.store.missing()) return fail(MOE_INVALID, "%s", missing->c_str());
  if (has_disk_tier(p) && runtime.store.opened() && !runtime.store.extents()) {
    return fail(MOE_UNSUPPORTED,
                "policy `%s` keeps experts on disk, and a checkpoint's lie apart there: pack the model first "
                "(`moec pack MODEL -o STORE`) and open the store",
                policy.name.c_str());
  }
  const uint64_t stored = runtime.store.layout().weight_bytes;
  if (policy.expert_bytes != 0 && policy.expert_bytes != stored) {
    return fail(MOE_INVALID, "policy `%s` is for experts of %llu bytes, the store's have %llu", policy.name.c_str(),
                static_cast<unsigned long long>(policy.expert_bytes), static_cast<unsigned long long>(stored));
  }
  return MOE_OK;
}

std::unique_ptr<Instance> make_instance(const moe_runtime& runtime, PolicyRef policy) {
  auto instance = std::make_unique<Instance>(std::move(policy), runtime.config.max_tokens, runtime.allocator);
  if (runtime.decision_log) instance->log_serial = runtime.decision_log->add_policy(instance->policy());
  return instance;
}

moe_status attach_first(moe_runtime& runtime, PolicyRef policy) {
  const moe_runtime_config& config = runtime.config;
  const uint32_t num_slots = choose_slots(runtime, *policy);
  if (num_slots == 0) return MOE_FULL;
  if (!has_disk_tier(policy->params)) {
    if (Result<void> loaded = runtime.store.load(); !loaded) return fail(loaded.error());
  }
  const uint32_t in_host_tiers = host_tier_slots(policy->params);
  auto instance = make_instance(runtime, std::move(policy));
  auto engine = std::make_unique<Engine>(Dimensions{config.shape, config.max_tokens, config.max_plans, num_slots,
                                                    config.streaming_slots, in_host_tiers, config.staging_slots},
                                         runtime);
  if (Result<void> started = engine->start(std::move(instance)); !started) return fail(started.error());
  runtime.engine.store(engine.release(), std::memory_order_release);
  return MOE_OK;
}

moe_status attach_next(moe_runtime& runtime, Engine& engine, PolicyRef policy) {
  const Dimensions& dims = engine.dimensions();
  const uint32_t capacity = slots_of(policy->params);
  if (capacity > dims.max_resident()) {
    const uint64_t wanted = uint64_t{capacity} + dims.streaming_slots;
    return fail(MOE_FULL,
                "policy `%s` needs %llu slots (%llu bytes): %u for its capacity and %u for streaming; the fast tier "
                "has %u of %llu bytes each",
                policy->name.c_str(), static_cast<unsigned long long>(wanted),
                static_cast<unsigned long long>(wanted * engine.slot_bytes()), capacity, dims.streaming_slots,
                dims.num_slots, static_cast<unsigned long long>(engine.slot_bytes()));
  }
  const uint32_t on_host = host_tier_slots(policy->params);
  if (engine.host() && on_host > dims.host_tier_slots) {
    return fail(MOE_FULL, "the host tiers of policy `%s` hold %u experts; the first attached policy's held %u",
                policy->name.c_str(), on_host, dims.host_tier_slots);
  }
  auto instance = make_instance(runtime, std::move(policy));
  engine.dispatcher().reclaim();
  engine.dispatcher().swap(std::move(instance));
  return MOE_OK;
}

void warn_of_log(const moe_runtime& runtime, const moe_policy& policy) {
  if (!runtime.decision_log) return;
  const size_t bytes = decision::state_bytes(policy.params);
  if (runtime.decision_log->can_hold(bytes)) return;
  runtime.log(MOE_LOG_WARNING, "the state of policy `" + policy.name + "`, " + std::to_string(bytes) +
                                   " bytes, is too large for the decision log: once that wraps, it explains nothing");
}

}  // namespace

moe_status create_runtime(const moe_runtime_config* given, const BackendFactory& make_backend, moe_runtime** out) {
  if (!out) return fail(MOE_INVALID, "`out_runtime` is NULL");
  moe_runtime_config config;
  if (const moe_status status = abi::read_struct(given, config, "config")) return status;
  if (const moe_status status = check_config(config)) return status;
  *out = new moe_runtime(config, make_backend);
  return MOE_OK;
}

moe_status attach(moe_runtime& runtime, moe_policy& policy) {
  std::string event;
  {
    const std::lock_guard lock(runtime.setup);
    if (const moe_status status = check_policy(runtime, policy)) return status;
    Engine* engine = runtime.engine.load(std::memory_order_relaxed);
    const moe_status status = engine ? attach_next(runtime, *engine, PolicyRef::share(&policy))
                                     : attach_first(runtime, PolicyRef::share(&policy));
    if (status) return status;
    if (runtime.log.on()) {
      event = engine ? "policy `" + policy.name + "` takes over at the next dispatch"
                     : "policy `" + policy.name + "` is attached";
    }
  }
  if (!event.empty()) runtime.log(MOE_LOG_INFO, event);
  warn_of_log(runtime, policy);
  return MOE_OK;
}

}  // namespace moe::core

moe_runtime::moe_runtime(const moe_runtime_config& checked, const moe::core::BackendFactory& backends)
    : config(checked),
      make_backend(backends),
      allocator(config.alloc, config.free, config.alloc_user),
      log(config.log, config.log_user),
      store(config.shape, allocator),
      hints(config.shape, allocator),
      counters(config.shape.num_layers, config.shape.num_experts, allocator),
      decision_log(config.decision_log_bytes == 0
                       ? nullptr
                       : std::make_unique<moe::core::DecisionLog>(config.decision_log_bytes, config.shape, allocator)),
      timeline(config.timeline_bytes == 0
                   ? nullptr
                   : std::make_unique<moe::core::Timeline>(config.timeline_bytes, config.shape, allocator)) {
  disk.bytes_per_s = config.disk_bytes_per_s;
}

moe_runtime::~moe_runtime() {
  magic = 0;
  delete engine.load(std::memory_order_acquire);
}
