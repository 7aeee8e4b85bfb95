// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/decide.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "ir/interpreter.h"
#include "tests/fuzz/target.h"

namespace moe::test {
namespace {

constexpr uint32_t kDispatches = 16;

class Routing {
 public:
  explicit Routing(uint64_t seed) : random_(seed) {}

  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }

  ir::ModelShape shape() {
    ir::ModelShape shape;
    shape.num_layers = 1 + below(4);
    shape.num_experts = 1 + below(12);
    shape.top_k = 1 + below(std::min(shape.num_experts, 4U));
    shape.expert_bytes = below(2) == 0 ? 0 : uint64_t{1} << (10 + below(20));
    return shape;
  }

  /// Different experts for each token.
  void route(const ir::ModelShape& shape, uint32_t num_tokens) {
    ids.clear();
    weights.clear();
    requests.clear();
    std::vector<int32_t> all(shape.num_experts);
    std::iota(all.begin(), all.end(), 0);
    for (uint32_t token = 0; token < num_tokens; ++token) {
      for (uint32_t k = 0; k < shape.top_k; ++k) {
        std::swap(all[k], all[k + below(shape.num_experts - k)]);
        ids.push_back(all[k]);
        weights.push_back(static_cast<float>(1 + below(8)) / 8);
      }
      requests.push_back(below(2));
    }
    probabilities.assign(size_t{num_tokens} * shape.num_experts, 1.0F / static_cast<float>(shape.num_experts));
  }

  std::vector<int32_t> ids;
  std::vector<float> weights;
  std::vector<uint32_t> requests;
  std::vector<float> probabilities;

 private:
  std::mt19937_64 random_;
};

void check_residents(const ir::Interpreter& interpreter, const ir::BoundPolicy& bound) {
  const std::vector<uint32_t> resident = interpreter.resident();
  std::vector<size_t> held(bound.num_instances());
  for (size_t i = 0; i < resident.size(); ++i) {
    require(resident[i] < bound.num_keys() && (i == 0 || resident[i - 1] < resident[i]), "residents that cannot be");
    ++held[bound.scope == ir::Scope::layer ? resident[i] / bound.shape.num_experts : 0];
  }
  for (uint32_t instance = 0; instance < held.size(); ++instance) {
    require(held[instance] <= interpreter.capacity(instance), "more residents than slots");
  }
}

void decide(const ir::BoundPolicy& bound, Routing& routing) {
  ir::Interpreter first(bound);
  ir::Interpreter second(bound);
  check_residents(first, bound);
  for (uint32_t i = 0; i < kDispatches; ++i) {
    ir::DispatchInput input;
    input.layer = i % bound.shape.num_layers;
    input.num_tokens = 1 + routing.below(3);
    input.top_k = bound.shape.top_k;
    input.phase = i < bound.shape.num_layers ? ir::Phase::prefill : ir::Phase::decode;
    routing.route(bound.shape, input.num_tokens);
    input.ids = routing.ids;
    input.weights = routing.weights;
    input.requests = routing.requests;
    if (routing.below(2) == 0) input.probabilities = routing.probabilities;
    input.measured.has_cost_model = i % 3 != 0;
    input.measured.transfer_ms = routing.below(5);
    input.measured.cpu_token_ms = routing.below(5);
    input.measured.stall_ms = routing.below(100);
    const auto decision = first.dispatch(input);
    require(decision.has_value(), "a valid dispatch is refused");
    require(decision == second.dispatch(input), "two interpreters disagree");
    check_residents(first, bound);
  }
}

}  // namespace

void bind_and_decide(const ir::Policy& policy, uint64_t seed) {
  Routing routing(seed);
  ir::BindOptions options;
  options.seed = seed;
  const ir::ModelShape shape = routing.shape();
  if (routing.below(2) == 0) options.fast_bytes = shape.expert_bytes * routing.below(shape.num_experts + 4);
  if (routing.below(4) == 0) options.capacity_slots = 1 + routing.below(shape.num_experts);
  ir::Diagnostics diagnostics;
  const auto bound = ir::bind(policy, shape, options, diagnostics);
  require(bound.has_value() != diagnostics.has_errors(), "a bound policy with errors, or none without");
  if (!bound) return;
  require(ir::verify(*bound).empty(), "the bound policy breaks an invariant");
  require(!ir::print_json(*bound).empty(), "no JSON of the bound policy");
  decide(*bound, routing);
}

}  // namespace moe::test
