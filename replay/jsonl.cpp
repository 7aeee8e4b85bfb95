// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "replay/formats.h"

namespace moe::replay {
namespace {

using Json = nlohmann::json;

/// One line.
struct Dispatch {
  uint32_t layer = 0;
  uint64_t token = 0;
  std::vector<uint16_t> ids;
  std::vector<float> weights;
};

constexpr uint32_t kMaxLayers = 4096;
constexpr uint32_t kMaxExperts = 65534;

Error bad(size_t offset, size_t line, std::string_view reason) {
  return Error{Error::Kind::format, fmt::format("offset {}, line {}: {}", offset, line, reason)};
}

// Fills `dispatch`, or says why the line is not one.
std::string parse_line(std::string_view text, Dispatch& dispatch) {
  const Json line = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!line.is_object()) return "not a JSON object";
  const auto layer = line.find("l");
  if (layer == line.end() || !layer->is_number_unsigned() || layer->get<uint64_t>() >= kMaxLayers) {
    return fmt::format("`l` is not a layer in 0..{}", kMaxLayers - 1);
  }
  dispatch.layer = layer->get<uint32_t>();
  const auto ids = line.find("e");
  if (ids == line.end() || !ids->is_array()) return "`e` is not an array of ids";
  for (const Json& id : *ids) {
    const bool valid = id.is_number_unsigned() && (id.get<uint64_t>() < kMaxExperts || id.get<uint64_t>() == kNoExpert);
    if (!valid) return fmt::format("an id of `e` is not in 0..{}", kMaxExperts - 1);
    dispatch.ids.push_back(id.get<uint16_t>());
  }
  const auto weights = line.find("s");
  if (weights == line.end()) return "";
  if (!weights->is_array() || weights->size() != ids->size()) return "`s` is not an array as long as `e`";
  for (const Json& weight : *weights) {
    if (!weight.is_number()) return "a weight of `s` is not a number";
    dispatch.weights.push_back(weight.get<float>());
  }
  return "";
}

Result<std::vector<Dispatch>> parse_lines(std::string_view text) {
  std::vector<Dispatch> dispatches;
  size_t line_number = 0;
  bool with_weights = false;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    ++line_number;
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
      Dispatch dispatch;
      if (const std::string reason = parse_line(line, dispatch); !reason.empty())
        return bad(start, line_number, reason);
      const bool has_weights = !dispatch.weights.empty();
      if (dispatches.empty()) with_weights = has_weights;
      if (!dispatch.ids.empty() && has_weights != with_weights)
        return bad(start, line_number, "`s` is in some lines only");
      const bool next_token = !dispatches.empty() && dispatch.layer <= dispatches.back().layer;
      if (!dispatches.empty()) dispatch.token = dispatches.back().token + (next_token ? 1 : 0);
      dispatches.push_back(std::move(dispatch));
    }
    start = end + 1;
  }
  if (dispatches.empty()) return bad(0, 1, "no dispatch");
  return dispatches;
}

}  // namespace

Result<Trace> read_jsonl(Bytes file, const TraceOptions& options) {
  Result<std::vector<Dispatch>> dispatches = parse_lines({reinterpret_cast<const char*>(file.data()), file.size()});
  if (!dispatches) return dispatches.error();
  Trace trace;
  uint32_t largest = 0;
  bool with_weights = false;
  trace.num_tokens = dispatches->back().token + 1;
  for (const Dispatch& dispatch : *dispatches) {
    trace.num_layers = std::max(trace.num_layers, dispatch.layer + 1);
    trace.top_k = std::max(trace.top_k, static_cast<uint32_t>(dispatch.ids.size()));
    with_weights = with_weights || !dispatch.weights.empty();
    for (uint16_t id : dispatch.ids) largest = std::max<uint32_t>(largest, id == kNoExpert ? 0 : id);
  }
  trace.num_experts = options.num_experts.value_or(largest + 1);

  // Lines are short where a trace is wide: one long line among many short ones must not take memory out of proportion.
  constexpr uint64_t kMaxGrowth = 64;
  const uint64_t num_ids = num_entries(trace.num_tokens, trace.num_layers, trace.top_k);
  if (num_ids > kMaxGrowth * (file.size() + 4096)) {
    return Error{Error::Kind::format,
                 fmt::format("{} tokens of {} layers of {} experts are far more than the lines fill", trace.num_tokens,
                             trace.num_layers, trace.top_k)};
  }
  trace.experts.assign(num_ids, kNoExpert);
  if (with_weights) trace.weights.assign(num_ids, 0.0f);
  for (const Dispatch& dispatch : *dispatches) {
    const auto at = static_cast<ptrdiff_t>(trace.offset(dispatch.token, dispatch.layer));
    std::copy(dispatch.ids.begin(), dispatch.ids.end(), trace.experts.begin() + at);
    std::copy(dispatch.weights.begin(), dispatch.weights.end(), trace.weights.begin() + at);
  }
  if (Result<void> result = check(trace); !result) return result.error();
  return trace;
}

}  // namespace moe::replay
