// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/runtime.h"

#include <bit>

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

/// What the policy's tiers are to this store. Errors: unsupported, format.
Result<TierTable> tiers_of(const moe_policy& policy, const Precisions& precisions) {
  Result<TierTable> tiers = TierTable::make(policy.params, precisions);
  if (tiers) return tiers;
  return Error{tiers.error().kind, "policy `" + policy.name + "`, " + tiers.error().message};
}

/// The copies that the policy may move are in memory, as the model's experts are. Errors: io, format.
Result<void> load_copies(moe_runtime& runtime, const TierTable& tiers) {
  if (!runtime.store.in_memory()) return {};
  for (uint64_t left = tiers.used() & ~uint64_t{1}; left != 0; left &= left - 1) {
    const auto precision = static_cast<uint32_t>(std::countr_zero(left));
    if (Result<void> loaded = runtime.store.load_copies(precision); !loaded) return loaded;
  }
  return {};
}

std::unique_ptr<Instance> make_instance(const moe_runtime& runtime, PolicyRef policy, TierTable tiers) {
  auto instance =
      std::make_unique<Instance>(std::move(policy), runtime.config.max_tokens, runtime.allocator, std::move(tiers));
  if (runtime.decision_log) instance->log_serial = runtime.decision_log->add_policy(instance->policy());
  return instance;
}

/// Whether there is room for a later policy where the first one's tiers were.
moe_status check_places(const Engine& engine, const moe_policy& policy, const TierTable& tiers) {
  const Dimensions& dims = engine.dimensions();
  const auto check = [&](decision::TierLocation location, const char* what, uint64_t slots, uint64_t bytes) {
    const uint64_t wanted = tiers.slots_at(location, dims.num_keys());
    if (wanted > slots) {
      return fail(MOE_FULL, "the %s tiers of policy `%s` hold %llu experts; the first attached policy's held %llu",
                  what, policy.name.c_str(), static_cast<unsigned long long>(wanted),
                  static_cast<unsigned long long>(slots));
    }
    if (tiers.widest_at(location) > bytes) {
      return fail(
          MOE_FULL,
          "the %s tiers of policy `%s` hold experts of %llu bytes; there the first attached policy has slots of "
          "%llu",
          what, policy.name.c_str(), static_cast<unsigned long long>(tiers.widest_at(location)),
          static_cast<unsigned long long>(bytes));
    }
    return MOE_OK;
  };
  if (engine.host()) {
    const moe_status status =
        check(decision::TierLocation::host, "host", dims.host_tier_slots, engine.host()->slot_bytes());
    if (status) return status;
  }
  return check(decision::TierLocation::gpu, "lower GPU", dims.device_tier_slots, dims.device_expert_bytes);
}

/// An engine with its memory. Where the device has no room for all the slots that it was given, those that the policy
/// does not need are halved until they fit: they were for later, larger policies. Errors: no_memory, device.
Result<std::unique_ptr<Engine>> make_engine(moe_runtime& runtime, Dimensions dimensions, const Precisions& precisions,
                                            uint32_t least_slots) {
  const auto attempt = [&]() -> Result<std::unique_ptr<Engine>> {
    try {
      auto engine = std::make_unique<Engine>(dimensions, precisions, runtime);
      if (Result<void> allocated = engine->allocate(); !allocated) return allocated.error();
      return engine;
    } catch (const std::bad_alloc&) {
      return Error{Error::Kind::no_memory, "out of memory"};
    }
  };
  for (;;) {
    Result<std::unique_ptr<Engine>> engine = attempt();
    const bool can_shrink = !engine && engine.error().kind == Error::Kind::no_memory;
    if (!can_shrink || dimensions.num_slots <= least_slots) return engine;
    dimensions.num_slots = least_slots + (dimensions.num_slots - least_slots) / 2;
  }
}

moe_status attach_first(moe_runtime& runtime, PolicyRef policy, std::string& warning) {
  const moe_runtime_config& config = runtime.config;
  const uint32_t num_slots = choose_slots(runtime, *policy);
  if (num_slots == 0) return MOE_FULL;
  if (!has_disk_tier(policy->params)) {
    if (Result<void> loaded = runtime.store.load(); !loaded) return fail(loaded.error());
  }
  Precisions precisions(runtime.store);
  Result<TierTable> tiers = tiers_of(*policy, precisions);
  if (!tiers) return fail(tiers.error());
  if (Result<void> loaded = load_copies(runtime, *tiers); !loaded) return fail(loaded.error());
  const uint32_t num_keys = policy->params.num_keys();
  const Dimensions dimensions{config.shape,
                              config.max_tokens,
                              config.max_plans,
                              num_slots,
                              config.streaming_slots,
                              static_cast<uint32_t>(tiers->slots_at(decision::TierLocation::host, num_keys)),
                              config.staging_slots,
                              tiers->widest_at(decision::TierLocation::host),
                              static_cast<uint32_t>(tiers->slots_at(decision::TierLocation::gpu, num_keys)),
                              tiers->widest_at(decision::TierLocation::gpu)};
  const uint32_t least_slots = slots_of(policy->params) + config.streaming_slots;
  auto instance = make_instance(runtime, std::move(policy), std::move(*tiers));
  Result<std::unique_ptr<Engine>> engine = make_engine(runtime, dimensions, precisions, least_slots);
  if (!engine) return fail(engine.error());
  if (Result<void> started = (*engine)->start(std::move(instance)); !started) return fail(started.error());
  const uint32_t there = (*engine)->dimensions().num_slots;
  if (there != num_slots) {
    warning = "no memory for a fast tier of " + std::to_string(num_slots) + " slots: it has " + std::to_string(there) +
              " of " + std::to_string((*engine)->slot_bytes()) + " bytes";
  }
  runtime.engine.store(engine->release(), std::memory_order_release);
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
  Result<TierTable> tiers = tiers_of(*policy, engine.precisions());
  if (!tiers) return fail(tiers.error());
  if (const moe_status status = check_places(engine, *policy, *tiers)) return status;
  if (Result<void> loaded = load_copies(runtime, *tiers); !loaded) return fail(loaded.error());
  auto instance = make_instance(runtime, std::move(policy), std::move(*tiers));
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
  std::string warning;
  {
    const std::lock_guard lock(runtime.setup);
    if (const moe_status status = check_policy(runtime, policy)) return status;
    Engine* engine = runtime.engine.load(std::memory_order_relaxed);
    const moe_status status = engine ? attach_next(runtime, *engine, PolicyRef::share(&policy))
                                     : attach_first(runtime, PolicyRef::share(&policy), warning);
    if (status) return status;
    if (runtime.log.on()) {
      event = engine ? "policy `" + policy.name + "` takes over at the next dispatch"
                     : "policy `" + policy.name + "` is attached";
    }
  }
  if (!warning.empty()) runtime.log(MOE_LOG_WARNING, warning);
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
