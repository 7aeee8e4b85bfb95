// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <moe/moe.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "examples/engine/config.h"
#include "examples/engine/model.h"
#include "examples/engine/policy.h"
#include "examples/engine/runtime.h"

namespace engine {

struct EngineOptions {
  PolicyOptions policy;
  Model::Options model;
  moe_backend backend = MOE_BACKEND_HOST;
  uint32_t device = 0;              ///< of the CUDA backend
  std::string backend_library;      ///< of the CUDA backend; "": where it is looked for
  uint64_t link_bytes_per_s = 0;    ///< limit of the link between store and fast tier; 0: none
  uint64_t decision_log_bytes = 0;  ///< 0: no decision log
  uint64_t timeline_bytes = 0;      ///< 0: no timeline
  uint64_t disk_bytes_per_s = 0;    ///< limit of the link from disk; 0: none
  moe_log_fn log = nullptr;         ///< the runtime's warnings; nullptr: silent
};

/// A model folder opened on a runtime of its own, with a policy attached: ready for Model::forward.
class Engine {
 public:
  /// `findings` is open_policy's. Errors: those of Model's constructor, open_policy and the runtime.
  Engine(const std::filesystem::path& model_dir, const Config& config, const EngineOptions& options,
         std::string& findings);

  Model& model() { return *model_; }
  const std::string& policy_name() const { return policy_.name; }
  bool policy_exact() const { return policy_.exact; }
  moe_stats_t stats() const;
  /// Errors: machine (the file cannot be written).
  void write_decision_log(const std::string& file) const;
  void write_timeline(const std::string& file) const;

  /// Opens the policy's file again and lets what it says now take over at the next dispatch. Any thread, one at a time;
  /// not together with the functions above. On an error the policy stays.
  /// Errors: those of open_policy; data (it needs more slots than the first one).
  void reopen_policy(std::string& findings);

 private:
  Runtime runtime_;  // before what borrows it
  std::unique_ptr<Model> model_;
  PolicyOptions policy_options_;  // with the budget in bytes of experts
  moe_model_shape shape_{};
  OpenPolicy policy_;
};

}  // namespace engine
