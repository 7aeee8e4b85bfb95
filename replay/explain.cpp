// SPDX-License-Identifier: Apache-2.0
#include "replay/explain.h"

#include <fmt/format.h>

#include "replay/replayer.h"

namespace moe::replay {
namespace {

/// The reference interpreter, which gives an account of one dispatch.
class AccountingEngine final : public DecisionEngine {
 public:
  AccountingEngine(const ir::BoundPolicy& policy, uint64_t target) : interpreter_(policy), target_(target) {
    explained_.dispatch = target;
  }

  std::optional<ir::Decision> decide(const ir::DispatchInput& input) override {
    const bool here = number_++ == target_;
    interpreter_.set_account(here ? &explained_.account : nullptr);
    std::optional<ir::Decision> decision = interpreter_.dispatch(input);
    if (here && decision) {
      explained_.num_tokens = input.num_tokens;
      explained_.decision = *decision;
    }
    return decision;
  }
  void hint(uint32_t layer, std::span<const uint32_t> ids, std::span<const float> probabilities) override {
    interpreter_.hint(layer, ids, probabilities);
  }
  void set_future(const ir::Future* future) override { interpreter_.set_future(future); }
  ir::ExplainedDecision take() { return std::move(explained_); }

 private:
  ir::Interpreter interpreter_;
  const uint64_t target_;
  uint64_t number_ = 0;
  ir::ExplainedDecision explained_;
};

}  // namespace

Result<ir::ExplainedDecision> explain(const Trace& trace, const ir::BoundPolicy& policy, const WhichDispatch& which) {
  const uint64_t num_steps = trace.num_steps();
  const uint64_t per_step = which.layer ? 1 : trace.num_layers;
  if (which.layer && *which.layer >= trace.num_layers) {
    return Error{Error::Kind::invalid,
                 fmt::format("there is no layer {}; the trace has {}", *which.layer, trace.num_layers)};
  }
  const uint64_t step = which.number / per_step;
  if (step >= num_steps) {
    return Error{Error::Kind::invalid, fmt::format("there is no dispatch {}{}; the last is {}", which.number,
                                                   which.layer ? fmt::format(" of layer {}", *which.layer) : "",
                                                   num_steps * per_step - std::min<uint64_t>(1, num_steps))};
  }
  const uint64_t layer = which.layer ? *which.layer : which.number % trace.num_layers;
  const uint64_t target = step * trace.num_layers + layer;
  AccountingEngine engine(policy, target);
  const Result<ReplayResult> result = replay(trace, policy, engine, nullptr, target + 1);
  if (!result) return result.error();
  ir::ExplainedDecision explained = engine.take();
  uint64_t token = 0;
  for (uint64_t i = 0; i < step; ++i) token = trace.step_end(token);
  explained.token = token;
  return explained;
}

}  // namespace moe::replay
