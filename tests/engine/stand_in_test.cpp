// SPDX-License-Identifier: Apache-2.0
// What the engine makes of experts that a policy leaves to the shared one, or out, against what Project_Chronos'
// classes compute for the same weights: y = sum of w_k (available ? E_k(x) : S(x)), and S(x) once more.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "examples/engine/experts.h"
#include "examples/engine/policy.h"
#include "tests/engine/support.h"

namespace engine_test {
namespace {

using engine::Matrix;
using nlohmann::json;

const std::filesystem::path kSoftGate = "../shared/data/chronos/moe_softgate.json";

Matrix matrix_of(const json& rows) {
  Matrix matrix(rows.size(), rows[0].size());
  for (size_t r = 0; r < matrix.rows; ++r) {
    for (size_t c = 0; c < matrix.cols; ++c) matrix.row(r)[c] = rows[r][c].get<float>();
  }
  return matrix;
}

engine::Mlp mlp_of(const json& state, const std::string& prefix) {
  return {matrix_of(state[prefix + ".gate_proj.weight"]), matrix_of(state[prefix + ".up_proj.weight"]),
          matrix_of(state[prefix + ".down_proj.weight"])};
}

/// One layer of experts in a runtime, with the policy `text`.
class Layer {
 public:
  Layer(const json& state, size_t num_experts, size_t top_k, const std::string& text) {
    for (size_t e = 0; e < num_experts; ++e) {
      const engine::Mlp mlp = mlp_of(state, "experts." + std::to_string(e));
      for (const Matrix* part : {&mlp.gate, &mlp.up, &mlp.down}) {
        bytes_.insert(bytes_.end(), part->values.begin(), part->values.end());
      }
      if (e != 0) continue;
      const auto part = [](const Matrix& m, size_t floats) {
        return engine::ExpertLayout::Part{MOE_F32, m.rows, m.cols, floats * sizeof(float)};
      };
      layout_.gate = part(mlp.gate, 0);
      layout_.up = part(mlp.up, mlp.gate.values.size());
      layout_.down = part(mlp.down, mlp.gate.values.size() + mlp.up.values.size());
      layout_.weight_bytes = layout_.slot_bytes = bytes_.size() * sizeof(float);
    }
    auto config = engine::sized<moe_runtime_config>();
    config.shape = engine::sized<moe_model_shape>();
    config.shape.num_layers = 1;
    config.shape.num_experts = static_cast<uint32_t>(num_experts);
    config.shape.top_k = static_cast<uint32_t>(top_k);
    config.shape.expert_bytes = layout_.weight_bytes;
    moe_runtime* made = nullptr;
    engine::check(moe_runtime_create(&config, &made), "runtime");
    runtime_.reset(made);
    for (uint32_t e = 0; e < num_experts; ++e) {
      const char* expert = reinterpret_cast<const char*>(bytes_.data()) + e * layout_.weight_bytes;
      engine::check(moe_store_add(made, 0, e, expert, layout_.weight_bytes), "expert");
    }
    write_text(folder_.path() / "p.moe", text);
    engine::PolicyOptions options;
    options.file = (folder_.path() / "p.moe").string();
    std::string findings;
    policy_ = engine::open_policy(options, config.shape, findings);
    INFO(findings);
    engine::check(moe_policy_attach(made, policy_.handle.get()), "policy");
  }

  Matrix run(const Matrix& x, const engine::Routing& routing, const Matrix* stand_in) {
    return engine::Experts(runtime_.get(), layout_).run(0, MOE_PHASE_DECODE, x, routing, stand_in);
  }

 private:
  std::vector<float> bytes_;
  engine::ExpertLayout layout_;
  TemporaryFolder folder_;
  engine::OpenPolicy policy_;
  engine::Runtime runtime_;
};

/// Pinned experts are there, the others' misses are `action`.
std::string policy_with(const std::string& pins, const std::string& action) {
  return "policy p { cache { capacity = 4  pin = [" + pins + "] }  schedule { approximate = true  on miss { else -> " +
         action + " } } }";
}

struct SoftGate {
  json data = read_json(kSoftGate);
  Matrix x = matrix_of(data["x"][0]);
  engine::Mlp shared = mlp_of(data["state"], "shared_experts.0");
  Matrix stand_in = engine::apply(shared, x);
  std::string available;
  size_t num_experts = data["mask"].size();
  engine::Routing routing =
      engine::route(engine::linear(x, matrix_of(data["state"]["gate.weight"])), 2, data["norm_topk_prob"].get<bool>());

  SoftGate() {
    for (size_t e = 0; e < num_experts; ++e) {
      if (data["mask"][e].get<bool>()) available += (available.empty() ? "" : ", ") + std::to_string(e);
    }
  }
};

TEST_CASE("the shared expert stands in as Project_Chronos' soft gate has it") {
  if (!std::filesystem::exists(kSoftGate)) {
    MESSAGE("skipped: no " << kSoftGate.string());
    return;
  }
  SoftGate golden;
  const auto check = [&](const std::string& text, const char* expected, bool equal) {
    Layer layer(golden.data["state"], golden.num_experts, 2, text);
    Matrix y = layer.run(golden.x, golden.routing, &golden.stand_in);
    engine::add(y, golden.stand_in);
    const float difference = largest_difference(y.values, matrix_of(golden.data[expected][0]).values);
    CHECK((difference < 1e-5f) == equal);
  };
  check(policy_with(golden.available, "shared"), "y_masked", true);
  check(policy_with(golden.available, "shared"), "y_full", false);
  check(policy_with(golden.available, "load"), "y_full", true);
  check(policy_with(golden.available, "skip"), "y_masked", false);
}

/// Two experts and a shared one of 2 x 2, so that a hand can follow: E_e(x) = silu(1) * (e + 1) * x for x = (1, 1).
json small_state() {
  json state;
  for (int e = 0; e < 2; ++e) {
    const std::string prefix = "experts." + std::to_string(e);
    state[prefix + ".gate_proj.weight"] = {{1, 0}, {0, 1}};
    state[prefix + ".up_proj.weight"] = {{e + 1, 0}, {0, e + 1}};
    state[prefix + ".down_proj.weight"] = {{1, 0}, {0, 1}};
  }
  return state;
}

TEST_CASE("skipped and dropped experts add nothing, and the other weights stay") {
  Matrix x(1, 2);
  x.values = {1, 1};
  engine::Routing routing{2, {0, 1}, {0.75f, 0.25f}, Matrix(1, 2)};
  routing.probabilities.values = {0.75f, 0.25f};
  Matrix stand_in(1, 2);
  stand_in.values = {10, 20};
  const float silu = 1 / (1 + std::exp(-1.0f));
  const auto result = [&](const std::string& text, const Matrix* shared) {
    return Layer(small_state(), 2, 2, text).run(x, routing, shared).values;
  };
  const std::string only_first = "policy p { cache { capacity = 1  pin = [0] }  schedule { approximate = true  ";
  const std::vector<float> first = {0.75f * silu, 0.75f * silu};
  CHECK(largest_difference(result(only_first + "on miss { else -> skip } } }", &stand_in), first) < 1e-6f);
  CHECK(largest_difference(result(only_first + "drop = when(weight < 0.5) } }", &stand_in), first) < 1e-6f);
  CHECK(largest_difference(result(only_first + "on miss { else -> shared } } }", nullptr), first) < 1e-6f);
  const std::vector<float> replaced = {first[0] + 2.5f, first[1] + 5.0f};
  CHECK(largest_difference(result(only_first + "on miss { else -> shared } } }", &stand_in), replaced) < 1e-5f);
}

}  // namespace
}  // namespace engine_test
