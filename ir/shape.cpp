// SPDX-License-Identifier: Apache-2.0
#include "ir/shape.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

namespace moe::ir {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxLayers = 4096;
constexpr uint64_t kMaxExperts = 65534;  // 0xFFFF is "no expert"
constexpr uint64_t kMaxExpertBytes = uint64_t{1} << 40;
constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;

Error format_error(std::string message) { return Error{Error::Kind::format, std::move(message)}; }

// The decimal number at the front of `text`, which it consumes.
std::optional<uint64_t> take_number(std::string_view& text) {
  uint64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

bool take_char(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

// Checks the limits before anything is narrowed.
Result<ModelShape> make_shape(uint64_t layers, uint64_t experts, uint64_t top_k, uint64_t expert_bytes) {
  const auto narrow = [](uint64_t value) { return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX)); };
  const ModelShape shape{narrow(layers), narrow(experts), narrow(top_k), expert_bytes};
  if (std::string problem = shape_problem(shape); !problem.empty()) return format_error(std::move(problem));
  return shape;
}

// The first of `names` that is a number in `config`.
std::optional<uint64_t> find_number(const Json& config, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto found = config.find(name);
    if (found != config.end() && found->is_number_unsigned()) return found->get<uint64_t>();
  }
  return std::nullopt;
}

std::optional<uint64_t> find_num_experts(const Json& config) {
  return find_number(config, {"num_experts", "num_local_experts", "n_routed_experts"});
}

// Models for text and images keep the language model's numbers one level down.
const Json& language_model_of(const Json& config) {
  for (const char* name : {"text_config", "language_config", "llm_config"}) {
    const auto nested = config.find(name);
    if (!find_num_experts(config) && nested != config.end() && nested->is_object()) return *nested;
  }
  return config;
}

// 0 when the config does not say.
uint64_t dtype_bytes(const Json& config) {
  for (const char* name : {"dtype", "torch_dtype"}) {
    const auto found = config.find(name);
    if (found == config.end() || !found->is_string()) continue;
    const std::string& dtype = found->get_ref<const std::string&>();
    if (dtype == "float64") return 8;
    if (dtype == "float32") return 4;
    if (dtype == "bfloat16" || dtype == "float16") return 2;
    if (dtype.starts_with("float8")) return 1;
  }
  return 0;
}

uint64_t expert_bytes_of(const Json& config, const Json& model) {
  const bool quantized = (config.contains("quantization_config") && !config["quantization_config"].is_null()) ||
                         (model.contains("quantization_config") && !model["quantization_config"].is_null());
  const std::optional<uint64_t> hidden = find_number(model, {"hidden_size"});
  const std::optional<uint64_t> intermediate = find_number(model, {"moe_intermediate_size", "intermediate_size"});
  const uint64_t element = dtype_bytes(model) != 0 ? dtype_bytes(model) : dtype_bytes(config);
  constexpr uint64_t kMaxSide = uint64_t{1} << 20;  // three matrices of this side in binary64 fit 64 bits
  if (quantized || !hidden || !intermediate || *hidden > kMaxSide || *intermediate > kMaxSide) return 0;
  return 3 * *hidden * *intermediate * element;
}

}  // namespace

std::string shape_problem(const ModelShape& shape) {
  if (shape.num_layers < 1 || shape.num_layers > kMaxLayers) {
    return fmt::format("a model has 1 to {} MoE layers, not {}", kMaxLayers, shape.num_layers);
  }
  if (shape.num_experts < 1 || shape.num_experts > kMaxExperts) {
    return fmt::format("a layer has 1 to {} experts, not {}", kMaxExperts, shape.num_experts);
  }
  if (shape.top_k < 1 || shape.top_k > shape.num_experts) {
    return fmt::format("a token selects 1 to {} experts, not {}", shape.num_experts, shape.top_k);
  }
  if (shape.expert_bytes > kMaxExpertBytes) {
    return fmt::format("an expert has at most {} bytes, not {}", kMaxExpertBytes, shape.expert_bytes);
  }
  return "";
}

Result<ModelShape> parse_shape(std::string_view text) {
  std::string_view rest = text;
  const std::optional<uint64_t> layers = take_number(rest);
  const bool first_x = take_char(rest, 'x');
  const std::optional<uint64_t> experts = take_number(rest);
  const bool second_x = take_char(rest, 'x');
  const std::optional<uint64_t> top_k = take_number(rest);
  std::optional<uint64_t> bytes = 0;
  if (take_char(rest, ':')) bytes = take_number(rest);
  if (!layers || !first_x || !experts || !second_x || !top_k || !bytes || !rest.empty()) {
    return format_error(fmt::format(
        "`{}` is no model shape: write layers x experts x top_k, e.g. `27x64x6` or `27x64x6:17301504`", text));
  }
  return make_shape(*layers, *experts, *top_k, *bytes);
}

std::string print_shape(const ModelShape& shape) {
  std::string text = fmt::format("{}x{}x{}", shape.num_layers, shape.num_experts, shape.top_k);
  if (shape.expert_bytes != 0) text += fmt::format(":{}", shape.expert_bytes);
  return text;
}

Result<ModelShape> shape_from_config(std::string_view text) {
  const Json config = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (config.is_discarded()) return format_error("the model's config is not valid JSON");
  if (!config.is_object()) return format_error("the model's config is not a JSON object");
  const Json& model = language_model_of(config);

  const std::optional<uint64_t> experts = find_num_experts(model);
  if (!experts || *experts == 0) {
    return format_error(
        "the model is not a mixture of experts: its config has none of `num_experts`, `num_local_experts`, "
        "`n_routed_experts`");
  }
  const std::optional<uint64_t> layers = find_number(model, {"num_hidden_layers"});
  if (!layers) return format_error("the model's config has no `num_hidden_layers`");
  const std::optional<uint64_t> top_k = find_number(model, {"num_experts_per_tok", "experts_per_token"});
  if (!top_k) return format_error("the model's config has no `num_experts_per_tok`");
  return make_shape(*layers, *experts, *top_k, expert_bytes_of(config, model));
}

Result<ModelShape> load_shape(const std::string& model) {
  std::error_code ignored;
  std::filesystem::path path = model;
  if (std::filesystem::is_directory(path, ignored)) path /= "config.json";
  if (!std::filesystem::is_regular_file(path, ignored)) {
    const bool looks_like_shape = !model.empty() && model.front() >= '0' && model.front() <= '9';
    if (looks_like_shape) {
      Result<ModelShape> shape = parse_shape(model);
      if (shape) return shape;
      return Error{Error::Kind::invalid, shape.error().message};  // not a file's fault: it was typed
    }
    return Error{Error::Kind::io, fmt::format("no model at `{}`: give a config.json, a directory that holds one, or a "
                                              "shape such as `27x64x6`",
                                              model)};
  }
  if (std::filesystem::file_size(path, ignored) > kMaxConfigBytes) {
    return format_error(fmt::format("`{}` is too large for a model's config", path.string()));
  }
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) return Error{Error::Kind::io, fmt::format("cannot read `{}`", path.string())};
  Result<ModelShape> shape = shape_from_config(text);
  if (shape) return shape;
  return Error{shape.error().kind, fmt::format("`{}`: {}", path.string(), shape.error().message)};
}

}  // namespace moe::ir
