// SPDX-License-Identifier: Apache-2.0
// llama.cpp without an expert cache: `--n-cpu-moe N` (common/arg.cpp) leaves the expert weights of the first N layers
// in host memory and puts all others on the device; nothing moves afterwards. The CPU computes what it holds, except
// that a batch of 32 tokens or more copies the experts it uses to the device for this once (the scheduler's operation
// offload, GGML_OP_OFFLOAD_MIN_BATCH; only used experts since pull request 15346).
#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

constexpr size_t kOffloadMinBatch = 32;

class LlamaCppStatic : public System {
 public:
  explicit LlamaCppStatic(uint32_t num_cpu_layers) : num_cpu_layers_(num_cpu_layers) {}

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    for (const Selected& s : by_appearance(dispatch)) {
      if (dispatch.layer >= num_cpu_layers_) {
        record.choose(s.expert, Action::hit);
      } else {
        record.choose(s.expert, dispatch.ids.size() >= kOffloadMinBatch ? Action::stream : Action::cpu);
      }
    }
    return record.done();
  }

 private:
  uint32_t num_cpu_layers_;
};

}  // namespace

SystemPtr make_llama_cpp_static(const Shape&, uint32_t num_cpu_layers) {
  return std::make_unique<LlamaCppStatic>(num_cpu_layers);
}

}  // namespace moe::oracle
