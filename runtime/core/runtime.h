// SPDX-License-Identifier: Apache-2.0
// What stands behind a moe_runtime handle.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "moe/moe.h"
#include "runtime/backend/backend.h"
#include "runtime/core/log.h"
#include "runtime/core/traffic.h"
#include "runtime/disk/reader.h"
#include "runtime/hints.h"
#include "runtime/metrics/counters.h"
#include "runtime/policy.h"
#include "runtime/store/store.h"

namespace moe::core {
class DecisionLog;
class Engine;
class Timeline;
using BackendFactory = std::function<std::unique_ptr<backend::Backend>(const Allocator&)>;

/// moe_runtime_create with any backend. Errors: as there.
moe_status create_runtime(const moe_runtime_config* config, const BackendFactory& make_backend, moe_runtime** out);
/// moe_policy_attach.
moe_status attach(moe_runtime& runtime, moe_policy& policy);
}  // namespace moe::core

struct moe_runtime {
  static constexpr uint64_t kMagic = 0x4D6F455F72756E31;  // tells a runtime from another handle

  moe_runtime(const moe_runtime_config& checked, const moe::core::BackendFactory& backends);
  ~moe_runtime();

  uint64_t magic = kMagic;
  const moe_runtime_config config;  ///< checked, defaults filled in
  const moe::core::BackendFactory make_backend;
  const moe::Allocator allocator;
  const moe::core::Log log;
  moe::disk::Options disk;  ///< of the link between disk and host memory; changed before the first attach, if at all
  std::mutex setup;         ///< store and attach; never taken by dispatch, wait, done, release
  moe::store::ExpertStore store;  ///< read-only from the first attach on
  moe::Hints hints;
  moe::metrics::Counters counters;
  moe::core::Traffic traffic;
  const std::unique_ptr<moe::core::DecisionLog> decision_log;  ///< null: none is kept
  const std::unique_ptr<moe::core::Timeline> timeline;         ///< null: none is kept
  std::atomic_flag dispatching;                                ///< set while a thread is inside moe_dispatch
  std::atomic<moe::core::Engine*> engine{nullptr};             ///< owned; set once, by the first attach
};
