// SPDX-License-Identifier: Apache-2.0
#include "replay/engine.h"

namespace moe::replay {
namespace {

class InterpreterEngine final : public DecisionEngine {
 public:
  explicit InterpreterEngine(const ir::BoundPolicy& policy) : interpreter_(policy) {}
  std::optional<ir::Decision> decide(const ir::DispatchInput& input) override { return interpreter_.dispatch(input); }
  void hint(uint32_t layer, std::span<const uint32_t> ids, std::span<const float> probabilities) override {
    interpreter_.hint(layer, ids, probabilities);
  }
  void set_future(const ir::Future* future) override { interpreter_.set_future(future); }

 private:
  ir::Interpreter interpreter_;
};

}  // namespace

std::unique_ptr<DecisionEngine> make_interpreter_engine(const ir::BoundPolicy& policy) {
  return std::make_unique<InterpreterEngine>(policy);
}

}  // namespace moe::replay
