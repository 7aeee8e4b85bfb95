// SPDX-License-Identifier: Apache-2.0
#include "tests/decision/case.h"

#include <fmt/format.h>

#include <bit>
#include <nlohmann/json.hpp>
#include <sstream>

#include "compiler/driver.h"

namespace moe::test {
namespace {

using Json = nlohmann::ordered_json;

/// JSON has no NaN and no infinity: those are words.
Json from_float(double value) {
  if (value != value) return "nan";
  if (value - value != 0) return value > 0 ? "inf" : "-inf";
  return value;
}
double to_float(const Json& json) {
  if (!json.is_string()) return json.get<double>();
  const auto word = json.get<std::string>();
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  return word == "inf" ? HUGE_VAL : -HUGE_VAL;
}
Json from_floats(const std::vector<float>& values) {
  Json json = Json::array();
  for (const float value : values) json.push_back(from_float(static_cast<double>(value)));
  return json;
}
std::vector<float> to_floats(const Json& json) {
  std::vector<float> values;
  for (const Json& value : json) values.push_back(static_cast<float>(to_float(value)));
  return values;
}

constexpr std::pair<const char*, double ir::MeasuredInputs::*> kMeasured[] = {
    {"queue_wait_ms", &ir::MeasuredInputs::queue_wait_ms},
    {"transfer_ms", &ir::MeasuredInputs::transfer_ms},
    {"cpu_setup_ms", &ir::MeasuredInputs::cpu_setup_ms},
    {"cpu_token_ms", &ir::MeasuredInputs::cpu_token_ms},
    {"stall_ms", &ir::MeasuredInputs::stall_ms},
    {"queue_depth", &ir::MeasuredInputs::queue_depth},
    {"link_gbps", &ir::MeasuredInputs::link_gbps},
    {"tokens_per_s", &ir::MeasuredInputs::tokens_per_s},
    {"kv_used", &ir::MeasuredInputs::kv_used},
};

/// What is empty or zero is left out.
Json from_step(const Step& step) {
  if (step.swap_to) return Json{{"swap_to", *step.swap_to}};
  const RandomDispatch& d = step.dispatch;
  Json json{{"layer", d.layer}, {"tokens", d.num_tokens}, {"ids", d.ids}};
  if (!d.weights.empty()) json["weights"] = from_floats(d.weights);
  if (d.allow_padding) json["allow_padding"] = true;
  if (!d.dropped.empty()) json["dropped"] = d.dropped;
  for (const RandomDispatch::Hint& hint : d.hints) {
    json["hints"].push_back(
        {{"layer", hint.layer}, {"ids", hint.ids}, {"probabilities", from_floats(hint.probabilities)}});
  }
  if (d.phase == ir::Phase::prefill) json["phase"] = "prefill";
  if (!d.requests.empty()) json["requests"] = d.requests;
  if (!d.probabilities.empty()) json["probabilities"] = from_floats(d.probabilities);
  if (d.measured.has_cost_model) json["cost_model"] = true;
  for (const auto& [name, field] : kMeasured) {
    if (d.measured.*field != 0) json[name] = from_float(d.measured.*field);
  }
  return json;
}

Step to_step(const Json& json) {
  Step step;
  if (json.contains("swap_to")) {
    step.swap_to = json["swap_to"].get<uint32_t>();
    return step;
  }
  RandomDispatch& d = step.dispatch;
  d.layer = json.at("layer").get<uint32_t>();
  d.num_tokens = json.at("tokens").get<uint32_t>();
  d.ids = json.at("ids").get<std::vector<int32_t>>();
  if (json.contains("weights")) d.weights = to_floats(json["weights"]);
  d.allow_padding = json.value("allow_padding", false);
  d.dropped = json.value("dropped", std::vector<uint32_t>{});
  for (const Json& hint : json.value("hints", Json::array())) {
    d.hints.push_back({hint.at("layer").get<uint32_t>(), hint.at("ids").get<std::vector<uint32_t>>(),
                       to_floats(hint.at("probabilities"))});
  }
  if (json.value("phase", "decode") == "prefill") d.phase = ir::Phase::prefill;
  d.requests = json.value("requests", std::vector<uint32_t>{});
  if (json.contains("probabilities")) d.probabilities = to_floats(json["probabilities"]);
  d.measured.has_cost_model = json.value("cost_model", false);
  for (const auto& [name, field] : kMeasured) {
    if (json.contains(name)) d.measured.*field = to_float(json[name]);
  }
  return step;
}

Json lines_of(const std::string& text) {
  Json lines = Json::array();
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

Case to_case(const Json& json) {
  Case result;
  const Json& shape = json.at("shape");
  result.shape.num_layers = shape.at("layers").get<uint32_t>();
  result.shape.num_experts = shape.at("experts").get<uint32_t>();
  result.shape.top_k = shape.at("top_k").get<uint32_t>();
  for (const Json& from : json.at("policies")) {
    PolicyCase policy;
    for (const Json& line : from.at("source")) policy.source += line.get<std::string>() + "\n";
    policy.seed = from.value("seed", uint64_t{1});
    if (from.contains("profile")) {
      auto profile = ir::parse_profile(from["profile"].get<std::string>());
      if (profile.ok()) policy.profile = std::make_shared<ir::Profile>(std::move(profile).value());
    }
    result.policies.push_back(std::move(policy));
  }
  for (const Json& step : json.at("steps")) result.steps.push_back(to_step(step));
  return result;
}

}  // namespace

std::optional<ir::BoundPolicy> bind_policy(const PolicyCase& policy, const ir::ModelShape& shape) {
  compiler::Target target;
  target.shape = shape;
  target.policy_name = "random";
  target.bind.seed = policy.seed;
  target.bind.profile = policy.profile;
  ir::Diagnostics diagnostics;
  return compiler::compile_to_bound(ir::SourceFile("random.moe", policy.source), target, diagnostics);
}

std::string print_case(const Case& of) {
  std::string text = fmt::format("{{\"shape\": {{\"layers\": {}, \"experts\": {}, \"top_k\": {}}},\n\"policies\": [",
                                 of.shape.num_layers, of.shape.num_experts, of.shape.top_k);
  for (size_t i = 0; i < of.policies.size(); ++i) {
    Json json{{"seed", of.policies[i].seed}};
    json["source"] = lines_of(of.policies[i].source);
    if (of.policies[i].profile) json["profile"] = ir::print_profile(*of.policies[i].profile);
    text += (i == 0 ? "" : ",\n") + json.dump(1);
  }
  text += "],\n\"steps\": [\n";
  for (size_t i = 0; i < of.steps.size(); ++i) {
    text += from_step(of.steps[i]).dump() + (i + 1 < of.steps.size() ? ",\n" : "\n");
  }
  return text + "]}\n";
}

std::optional<Case> parse_case(std::string_view text) {
  try {
    return to_case(Json::parse(text));
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace moe::test
