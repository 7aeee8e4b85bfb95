// SPDX-License-Identifier: Apache-2.0
// moe.h: dispatch, wait, done, release.
#include "runtime/abi/handles.h"
#include "runtime/core/engine.h"
#include "runtime/structs.h"

using moe::fail;
using moe::guarded;

namespace {

/// One dispatching thread at a time; a second one is told, not queued.
class DispatchTurn {
 public:
  explicit DispatchTurn(std::atomic_flag& flag) : flag_(flag), mine_(!flag.test_and_set(std::memory_order_acquire)) {}
  DispatchTurn(const DispatchTurn&) = delete;
  ~DispatchTurn() {
    if (mine_) flag_.clear(std::memory_order_release);
  }
  bool mine() const { return mine_; }

 private:
  std::atomic_flag& flag_;
  const bool mine_;
};

/// Finds what wait, done and release act on.
moe_status find_plans(moe_runtime* runtime, const moe_plan* plan, moe::core::Plans*& out) {
  if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
  if (const moe_status status = moe::abi::check_struct(plan, "plan")) return status;
  moe::core::Engine* engine = runtime->engine.load(std::memory_order_acquire);
  if (!engine) return fail(MOE_INVALID, "no policy is attached, so there are no plans");
  out = &engine->plans();
  return MOE_OK;
}

}  // namespace

extern "C" {

moe_status moe_dispatch(moe_runtime* runtime, const moe_dispatch_args* args, moe_plan* out_plan) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    if (const moe_status status = moe::abi::check_struct(args, "args")) return status;
    if (const moe_status status = moe::abi::check_struct(out_plan, "out_plan")) return status;
    moe::core::Engine* engine = runtime->engine.load(std::memory_order_acquire);
    if (!engine) return fail(MOE_INVALID, "no policy is attached");
    const DispatchTurn turn(runtime->dispatching);
    if (!turn.mine()) return fail(MOE_BUSY, "another thread is inside moe_dispatch of this runtime");
    // Structs of this version's size are used where they are: a copy of what has just been stored field by field would
    // wait for all of it.
    moe_dispatch_args other_args;
    if (args->struct_size != sizeof(moe_dispatch_args)) {
      if (const moe_status status = moe::abi::read_struct(args, other_args, "args")) return status;
      args = &other_args;
    }
    if (out_plan->struct_size == sizeof(moe_plan)) return engine->dispatcher().dispatch(*args, *out_plan);
    moe_plan plan{};
    if (const moe_status status = engine->dispatcher().dispatch(*args, plan)) return status;
    moe::abi::write_struct(plan, out_plan);
    return MOE_OK;
  });
}

moe_status moe_plan_wait(moe_runtime* runtime, const moe_plan* plan, uint32_t index, void* stream) {
  return guarded([&] {
    moe::core::Plans* plans = nullptr;
    if (const moe_status status = find_plans(runtime, plan, plans)) return status;
    return plans->wait(plan->id, index, stream);
  });
}

moe_status moe_plan_done(moe_runtime* runtime, const moe_plan* plan, uint32_t index, void* stream) {
  return guarded([&] {
    moe::core::Plans* plans = nullptr;
    if (const moe_status status = find_plans(runtime, plan, plans)) return status;
    return plans->done(plan->id, index, stream);
  });
}

moe_status moe_plan_release(moe_runtime* runtime, const moe_plan* plan, void* stream) {
  return guarded([&] {
    moe::core::Plans* plans = nullptr;
    if (const moe_status status = find_plans(runtime, plan, plans)) return status;
    return plans->release(plan->id, stream);
  });
}

}  // extern "C"
