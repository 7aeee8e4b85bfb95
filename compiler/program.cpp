// SPDX-License-Identifier: Apache-2.0
#include "compiler/program.h"

#include <nlohmann/json.hpp>

namespace moe::compiler {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint32_t kMostLayers = 4096, kMostExperts = 65534, kMostSlots = 1u << 28;

/// Fields of one object, each of the type that it should have; the first that is not is remembered.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  std::string text(const char* name) {
    const auto found = object_.find(name);
    if (found != object_.end() && found->is_string()) return found->get<std::string>();
    return refuse(name), "";
  }
  uint64_t number(const char* name, uint64_t least, uint64_t most) {
    const auto found = object_.find(name);
    const bool good = found != object_.end() && found->is_number_unsigned() && found->get<uint64_t>() >= least &&
                      found->get<uint64_t>() <= most;
    if (good) return found->get<uint64_t>();
    return refuse(name), least;
  }
  uint32_t small(const char* name, uint32_t least, uint32_t most) {
    return static_cast<uint32_t>(number(name, least, most));
  }
  std::vector<frontend::Setting> settings(const char* name) {
    std::vector<frontend::Setting> out;
    const auto found = object_.find(name);
    if (found == object_.end() || !found->is_array()) return refuse(name), out;
    for (const Json& one : *found) {
      std::optional<frontend::Setting> setting;
      if (one.is_string()) setting = parse_setting(one.get<std::string>());
      if (!setting) return refuse(name), out;
      out.push_back(std::move(*setting));
    }
    return out;
  }
  const std::string& bad() const { return bad_; }

 private:
  void refuse(const char* name) {
    if (bad_.empty()) bad_ = name;
  }
  const Json& object_;
  std::string bad_;
};

}  // namespace

std::string print_program(const ir::SourceFile& source, const Target& target) {
  Json settings = Json::array();
  for (const frontend::Setting& setting : target.settings) settings.push_back(setting.name + "=" + setting.value);
  const Json object = {{"file", source.name()},
                       {"source", source.text()},
                       {"policy", target.policy_name},
                       {"settings", settings},
                       {"num_layers", target.shape.num_layers},
                       {"num_experts", target.shape.num_experts},
                       {"top_k", target.shape.top_k},
                       {"expert_bytes", target.shape.expert_bytes},
                       {"slots", target.bind.capacity_slots.value_or(0)},
                       {"streaming_slots", target.bind.streaming_slots},
                       {"fast_bytes", target.bind.fast_bytes},
                       {"seed", target.bind.seed}};
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Program> read_program(const std::string& text) {
  const Json object = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Error{Error::Kind::format, "the policy's program is not a JSON object"};
  Fields fields(object);
  Program program;
  program.source = ir::SourceFile(fields.text("file"), fields.text("source"));
  Target& target = program.target;
  target.policy_name = fields.text("policy");
  target.settings = fields.settings("settings");
  target.shape.num_layers = fields.small("num_layers", 1, kMostLayers);
  target.shape.num_experts = fields.small("num_experts", 1, kMostExperts);
  target.shape.top_k = fields.small("top_k", 1, target.shape.num_experts);
  target.shape.expert_bytes = fields.number("expert_bytes", 0, UINT64_MAX);
  const uint32_t slots = fields.small("slots", 0, kMostSlots);
  if (slots != 0) target.bind.capacity_slots = slots;
  target.bind.streaming_slots = fields.small("streaming_slots", 0, UINT32_MAX);
  target.bind.fast_bytes = fields.number("fast_bytes", 0, UINT64_MAX);
  target.bind.seed = fields.number("seed", 0, UINT64_MAX);
  if (!fields.bad().empty()) {
    return Error{Error::Kind::format, "`" + fields.bad() + "` of the policy's program is not what it should be"};
  }
  return program;
}

}  // namespace moe::compiler
