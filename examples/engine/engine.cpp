// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/engine.h"

#include <fmt/core.h>

#include "examples/engine/error.h"

namespace engine {
namespace {

constexpr uint32_t kStreamingSlots = 2;  // for experts that a policy does not keep

moe_model_shape make_shape(const Config& config, uint64_t expert_bytes) {
  auto shape = sized<moe_model_shape>();
  shape.num_layers = config.num_moe_layers();
  shape.num_experts = config.num_experts;
  shape.top_k = config.top_k;
  shape.expert_bytes = expert_bytes;
  return shape;
}

Runtime make_runtime(const Config& config, const EngineOptions& options) {
  auto runtime_config = sized<moe_runtime_config>();
  runtime_config.backend = options.backend;
  runtime_config.device = options.device;
  if (!options.backend_library.empty()) runtime_config.backend_library = options.backend_library.c_str();
  runtime_config.shape = make_shape(config, 0);  // the store knows the size of an expert, and it is opened later
  runtime_config.fast_bytes = options.policy.budget_bytes;
  runtime_config.streaming_slots = kStreamingSlots;
  runtime_config.max_tokens = options.model.max_batch;
  runtime_config.link_bytes_per_s = options.link_bytes_per_s;
  runtime_config.log = options.log;
  runtime_config.decision_log_bytes = options.decision_log_bytes;
  runtime_config.timeline_bytes = options.timeline_bytes;
  runtime_config.disk_bytes_per_s = options.disk_bytes_per_s;
  moe_runtime* runtime = nullptr;
  const moe_status status = moe_runtime_create(&runtime_config, &runtime);
  if (status == MOE_UNSUPPORTED) throw machine_error(std::string("--backend: ") + moe_last_error());
  check(status, "runtime");
  return Runtime(runtime);
}

}  // namespace

Engine::Engine(const std::filesystem::path& model_dir, const Config& config, const EngineOptions& options,
               std::string& findings)
    : runtime_(make_runtime(config, options)) {
  const std::string where = model_dir.string();
  check(moe_store_open(runtime_.get(), where.c_str()), where);
  const bool on_device = options.backend != MOE_BACKEND_HOST;
  Model::Options model_options = options.model;
  model_options.on_device = on_device;
  model_ = std::make_unique<Model>(runtime_.get(), config, model_options, where);

  const ExpertLayout& layout = model_->expert_layout();
  const uint64_t least = (1 + kStreamingSlots) * layout.slot_bytes;
  if (options.policy.budget_bytes != 0 && options.policy.budget_bytes < least) {
    throw usage_error(
        fmt::format("a budget of {} bytes holds no expert; {} bytes is the least: one resident and {} "
                    "streaming experts of {} bytes",
                    options.policy.budget_bytes, least, kStreamingSlots, layout.slot_bytes));
  }
  // A policy counts experts as they are stored; slots are padded, so what it may fill is the slots that fit.
  policy_options_ = options.policy;
  policy_options_.on_host = !on_device;
  policy_options_.budget_bytes = policy_options_.budget_bytes / layout.slot_bytes * layout.weight_bytes;
  shape_ = make_shape(config, layout.weight_bytes);
  policy_ = open_policy(policy_options_, shape_, findings);
  check(moe_policy_attach(runtime_.get(), policy_.handle.get()), options.policy.file);
}

void Engine::reopen_policy(std::string& findings) {
  OpenPolicy next = open_policy(policy_options_, shape_, findings);
  check(moe_policy_attach(runtime_.get(), next.handle.get()), policy_options_.file);
  next.exact = next.exact && policy_.exact;  // the run's output is that of all its policies
  policy_ = std::move(next);
}

void Engine::write_timeline(const std::string& file) const {
  check(moe_timeline_write(runtime_.get(), file.c_str()), file);
}

void Engine::write_decision_log(const std::string& file) const {
  check(moe_decision_log_write(runtime_.get(), file.c_str()), file);
}

moe_stats_t Engine::stats() const {
  auto stats = sized<moe_stats_t>();
  check(moe_stats(runtime_.get(), &stats), "statistics");
  return stats;
}

}  // namespace engine
