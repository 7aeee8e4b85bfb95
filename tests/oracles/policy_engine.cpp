// SPDX-License-Identifier: Apache-2.0
#include "tests/oracles/policy_engine.h"

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "frontend/frontend.h"
#include "ir/bind.h"
#include "ir/interpreter.h"

namespace moe::oracle {
namespace {

Action action_of(ir::Action action) {
  switch (action) {
    case ir::Action::hit:
      return Action::hit;
    case ir::Action::load:
      return Action::load;
    case ir::Action::stream:
      return Action::stream;
    case ir::Action::cpu:
      return Action::cpu;
    case ir::Action::cpu_load:
      return Action::cpu_load;
    case ir::Action::degrade:
      return Action::degrade;
    case ir::Action::shared:
      return Action::shared;
    case ir::Action::skip:
      return Action::skip;
  }
  return Action::skip;
}

class PolicyEngine : public System {
 public:
  explicit PolicyEngine(const ir::BoundPolicy& policy) : shape_(policy.shape), interpreter_(policy) {}

  Outcome step(const Dispatch& dispatch) override {
    hint(dispatch);
    std::vector<int32_t> ids;
    std::vector<float> weights;
    for (size_t token = 0; token < dispatch.ids.size(); ++token) {
      ids.insert(ids.end(), dispatch.ids[token].begin(), dispatch.ids[token].end());
      for (double w : dispatch.weights[token]) weights.push_back(static_cast<float>(w));
    }
    const std::vector<uint32_t> requests(dispatch.ids.size(), dispatch.request);
    ir::DispatchInput input;
    input.layer = dispatch.layer;
    input.num_tokens = static_cast<uint32_t>(dispatch.ids.size());
    input.top_k = static_cast<uint32_t>(dispatch.ids.front().size());
    input.ids = ids;
    input.weights = weights;
    input.phase = dispatch.prefill ? ir::Phase::prefill : ir::Phase::decode;
    input.requests = requests;
    const std::optional<ir::Decision> decision = interpreter_.dispatch(input);
    if (!decision) throw std::runtime_error("the interpreter refuses a dispatch of the trace");
    return outcome_of(*decision);
  }

 private:
  void hint(const Dispatch& dispatch) {
    std::vector<uint32_t> ids;
    std::vector<float> probabilities;
    for (const Guess& guess : merged_guesses(dispatch)) {
      ids.push_back(guess.expert);
      probabilities.push_back(static_cast<float>(guess.probability));
    }
    if (!ids.empty() && !interpreter_.hint(dispatch.layer + 1, ids, probabilities)) {
      throw std::runtime_error("the interpreter refuses a guess of the trace");
    }
  }

  Pair pair_of(uint32_t key) const { return {key / shape_.num_experts, key % shape_.num_experts}; }

  Outcome outcome_of(const ir::Decision& decision) const {
    Record record;
    for (const auto& expert : decision.experts) record.choose(expert.expert, action_of(expert.action));
    for (uint32_t expert : decision.dropped) record.choose(expert, Action::skip);
    for (uint32_t key : decision.evicted) record.leave(pair_of(key).layer, pair_of(key).expert);
    for (uint32_t key : decision.prefetched) record.ahead(pair_of(key).layer, pair_of(key).expert);
    return record.done();
  }

  ir::ModelShape shape_;
  ir::Interpreter interpreter_;
};

}  // namespace

std::unique_ptr<System> make_policy_engine(const std::string& path, const Binding& binding, std::string& findings) {
  std::ifstream stream(path);
  if (!stream) {
    findings = path + " cannot be read";
    return nullptr;
  }
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const ir::SourceFile file(path, text);
  ir::Diagnostics diagnostics;
  frontend::LowerOptions options;
  for (const auto& [name, value] : binding.settings) options.settings.push_back({name, value});
  const auto module = frontend::compile_to_ir(file, options, diagnostics);
  findings = ir::render_text(file, diagnostics, false);
  if (!module) return nullptr;
  ir::BindOptions bind_options;
  if (binding.slots > 0) bind_options.capacity_slots = binding.slots;
  if (!binding.frequency.empty()) {
    ir::Profile profile;
    profile.num_layers = binding.shape.num_layers;
    profile.num_experts = binding.shape.num_experts;
    profile.top_k = binding.shape.top_k;
    profile.frequency = binding.frequency;
    bind_options.profile = std::make_shared<const ir::Profile>(profile);
  }
  const auto bound =
      ir::bind(module->policies.front(), {binding.shape.num_layers, binding.shape.num_experts, binding.shape.top_k, 0},
               bind_options, diagnostics);
  findings = ir::render_text(file, diagnostics, false);
  if (!bound) return nullptr;
  return std::make_unique<PolicyEngine>(*bound);
}

}  // namespace moe::oracle
