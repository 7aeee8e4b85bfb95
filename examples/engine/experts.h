// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <moe/moe.h>

#include <memory>

#include "examples/engine/device_ffn.h"
#include "examples/engine/matrix.h"
#include "examples/engine/router.h"
#include "examples/engine/weights.h"

namespace engine {

/// The routed experts of all layers. This is where the engine and the runtime meet: every byte of an expert that is
/// computed with comes from a plan entry's `data`, wherever the policy put it.
class Experts {
 public:
  /// Where experts are computed that are in the fast tier.
  struct Options {
    bool on_device = false;    ///< on the CUDA device whose memory that is
    uint32_t max_batch = 512;  ///< tokens in one run; for the device's scratch memory
    uint32_t top_k = 1;        ///< the same
  };
  /// Borrows `runtime`, which has a store, and a policy before the first run.
  Experts(moe_runtime* runtime, const ExpertLayout& layout, const Options& options);
  Experts(moe_runtime* runtime, const ExpertLayout& layout) : Experts(runtime, layout, Options()) {}

  /// The weighted sum of each token's experts, [n, hidden], added in top-k order whatever order they came in, so that
  /// the bits do not depend on the policy. `layer` counts MoE layers.
  ///   stand_in  [n, hidden], what takes the place of an expert that the policy leaves to the shared one; nullptr: the
  ///             model has none, so nothing does
  /// Errors: those of moe_dispatch and moe_plan_wait.
  Matrix run(uint32_t layer, moe_phase phase, const Matrix& x, const Routing& routing, const Matrix* stand_in);

  /// Tells the runtime what `layer` will probably need.
  void hint(uint32_t layer, const Forecast& forecast);

 private:
  /// One expert on its tokens; row i of the result belongs to entry.selections[i].
  Matrix compute(const moe_plan_entry& entry, const uint32_t* selections, const Matrix& x, size_t top_k);

  DeviceFfn* device();

  moe_runtime* runtime_;
  ExpertLayout layout_;
  Options options_;
  std::unique_ptr<DeviceFfn> device_;  // from the first run on, if at all
  Mlp scratch_;                        // the expert in use, as fp32
};

}  // namespace engine
