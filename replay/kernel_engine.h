// SPDX-License-Identifier: Apache-2.0
// A native decision kernel (a JIT-compiled policy, a shared library's, or the static kernels) behind the replayer's
// types.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "replay/engine.h"
#include "runtime/base/result.h"
#include "runtime/decision/output_arrays.h"

namespace moe::replay {

/// Threads  none: the caller serialises.
class KernelEngine final : public DecisionEngine {
 public:
  using Dispatch = std::function<uint32_t(void* state, const decision::Input*, decision::Output*)>;

  /// The state is allocated here. `params.pins` must outlive the engine, as must the code behind `dispatch`.
  /// Errors: no_memory.
  static Result<KernelEngine> create(const decision::Params& params, Dispatch dispatch);
  /// A compiled policy's.
  static Result<KernelEngine> create(const decision::Descriptor& descriptor);
  /// The static kernel of `params.eviction`.
  static Result<KernelEngine> create_static(const decision::Params& params);

  std::optional<ir::Decision> decide(const ir::DispatchInput& input) override;
  void hint(uint32_t layer, std::span<const uint32_t> ids, std::span<const float> probabilities) override;

  std::vector<uint32_t> resident() const;

  /// Goes on, before its first dispatch, with the residents of `old`, whose policy has the same shape: see
  /// decision::adopt_state. Returns the keys that found no place.
  std::vector<uint32_t> take_over(const KernelEngine& old);

  /// For who looks at what the kernel keeps (runtime/decision/check/invariants.h). Borrowed.
  const decision::Params& params() const { return params_; }
  const void* state() const { return state_.get(); }

 private:
  struct FreeBlock {
    void operator()(void* block) const;
  };
  struct PendingHint {
    std::vector<uint32_t> ids;
    std::vector<float> probabilities;
  };
  KernelEngine(const decision::Params& params, Dispatch dispatch, void* state);
  void note_fired(uint32_t rule, ir::Decision& decision) const;
  bool are_probabilities(std::span<const float> of, uint32_t num_tokens) const;  ///< or not known at all

  decision::Params params_;
  Dispatch dispatch_;
  std::unique_ptr<void, FreeBlock> state_;
  std::vector<PendingHint> hints_;
  std::vector<decision::Hint> hint_views_;
  std::vector<uint32_t> dropped_;
  decision::OutputArrays arrays_;
};

}  // namespace moe::replay
