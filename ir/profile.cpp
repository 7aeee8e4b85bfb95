// SPDX-License-Identifier: Apache-2.0
// .moeprof: JSON, written one layer a line so that profiles can be compared with diff.
//   { "format": "moeprof", "version": 1, "layers": 2, "experts": 4, "top_k": 2, "trace": "chat.npz",
//     "frequency": [[0.5, 0.25, 0.25, 0], ...],     a row per layer
//     "affinity": [[[0, 1, 0.75], ...], ...],        per layer: expert, expert of the next layer, share; ascending
//     "learned": [[...], ...] }                      per layer, or absent
#include "ir/profile.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

namespace moe::ir {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kVersion = 1;
constexpr int kDeepest = 4;  // of the format

Error wrong(const std::string& what) { return Error{Error::Kind::format, "profile: " + what}; }

// Nesting beyond the format's is refused while it is read, and so is a key that is there twice: the DOM keeps one.
class Guard {
 public:
  bool see(int depth, Json::parse_event_t event, const Json& parsed) {
    const bool opens = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= kDeepest) too_deep_ = true;
    if (event == Json::parse_event_t::key && depth == 1) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys_.emplace(key, 0).second && twice_.empty()) twice_ = key;
    }
    return !too_deep_;  // what lies deeper is not kept
  }
  std::string fault() const {
    if (too_deep_) return "nested deeper than a profile is";
    if (twice_.empty()) return "";
    return Json(twice_).dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 40) + " is there twice";
  }

 private:
  bool too_deep_ = false;
  std::map<std::string, int> keys_;
  std::string twice_;
};

Result<Json> parse_json(std::string_view text) {
  Guard guard;
  Json value;
  try {
    value = Json::parse(text.begin(), text.end(), [&guard](int depth, Json::parse_event_t event, const Json& parsed) {
      return guard.see(depth, event, parsed);
    });
  } catch (const Json::parse_error& e) {
    return wrong("not JSON at byte " + std::to_string(e.byte));
  } catch (const Json::exception&) {
    return wrong("has a number that no machine can hold");
  }
  if (const std::string fault = guard.fault(); !fault.empty()) return wrong(fault);
  if (!value.is_object()) return wrong("not a JSON object");
  return value;
}

std::string at(const char* key, size_t layer) { return std::string("`") + key + "`, layer " + std::to_string(layer); }

Result<uint32_t> read_count(const Json& json, const char* key, uint32_t most) {
  const auto found = json.find(key);
  if (found == json.end()) return wrong(std::string("has no `") + key + "`");
  if (!found->is_number_unsigned() || found->get<uint64_t>() < 1 || found->get<uint64_t>() > most) {
    return wrong(std::string("`") + key + "` is not a whole number from 1 to " + std::to_string(most));
  }
  return static_cast<uint32_t>(found->get<uint64_t>());
}

// nullopt: not a finite number.
std::optional<double> finite(const Json& json) {
  if (!json.is_number()) return std::nullopt;
  const auto value = json.get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

// The layers' rows of `key`. nullptr: absent.
Result<const Json*> read_rows(const Json& json, const char* key, uint32_t num_layers) {
  const auto found = json.find(key);
  if (found == json.end()) return nullptr;
  if (!found->is_array() || found->size() != num_layers) {
    return wrong(std::string("`") + key + "` is not a list of " + std::to_string(num_layers) + " layers");
  }
  for (size_t l = 0; l < num_layers; ++l) {
    if (!(*found)[l].is_array()) return wrong(at(key, l) + ": not a list");
  }
  return &*found;
}

Result<void> read_frequency(const Json& rows, Profile& profile) {
  for (size_t l = 0; l < profile.num_layers; ++l) {
    const Json& row = rows[l];
    if (row.size() != profile.num_experts) {
      return wrong(at("frequency", l) + ": not " + std::to_string(profile.num_experts) + " numbers");
    }
    std::vector<double> shares;
    double sum = 0;
    for (const Json& number : row) {
      const std::optional<double> share = finite(number);
      if (!share || *share < 0 || *share > 1) return wrong(at("frequency", l) + ": a share is not in 0..1");
      shares.push_back(*share);
      sum += *share;
    }
    // Each of them was rounded when it was written.
    if (sum != 0 && std::abs(sum - 1) > 1e-6) return wrong(at("frequency", l) + ": the shares do not add up to 1");
    profile.frequency.push_back(std::move(shares));
  }
  return {};
}

std::optional<uint32_t> expert_id(const Json& json, uint32_t num_experts) {
  if (!json.is_number_unsigned() || json.get<uint64_t>() >= num_experts) return std::nullopt;
  return static_cast<uint32_t>(json.get<uint64_t>());
}

Result<void> read_affinity(const Json& rows, Profile& profile) {
  for (size_t l = 0; l < profile.num_layers; ++l) {
    std::vector<std::map<uint32_t, double>> layer(profile.num_experts);
    for (const Json& entry : rows[l]) {
      if (!entry.is_array() || entry.size() != 3) return wrong(at("affinity", l) + ": not [expert, expert, share]");
      const std::optional<uint32_t> from = expert_id(entry[0], profile.num_experts);
      const std::optional<uint32_t> to = expert_id(entry[1], profile.num_experts);
      const std::optional<double> share = finite(entry[2]);
      if (!from || !to) return wrong(at("affinity", l) + ": an expert is out of range");
      if (!share || *share < 0 || *share > 1) return wrong(at("affinity", l) + ": a share is not in 0..1");
      if (!layer[*from].emplace(*to, *share).second) return wrong(at("affinity", l) + ": a pair is there twice");
    }
    profile.affinity.push_back(std::move(layer));
  }
  return {};
}

Result<void> read_learned(const Json& rows, Profile& profile) {
  for (size_t l = 0; l < profile.num_layers; ++l) {
    if (rows[l].size() != rows[0].size()) return wrong(at("learned", l) + ": not as many weights as layer 0");
    std::vector<double> weights;
    weights.reserve(rows[l].size());
    for (const Json& number : rows[l]) {
      const std::optional<double> weight = finite(number);
      if (!weight) return wrong(at("learned", l) + ": a weight is not a finite number");
      weights.push_back(*weight);
    }
    profile.learned.push_back(std::move(weights));
  }
  return {};
}

using Reader = Result<void> (*)(const Json& rows, Profile& profile);

Result<void> read_part(const Json& json, const char* key, bool required, Reader reader, Profile& profile) {
  const Result<const Json*> rows = read_rows(json, key, profile.num_layers);
  if (!rows) return rows.error();
  if (*rows != nullptr) return reader(**rows, profile);
  if (required) return wrong(std::string("has no `") + key + "`");
  return {};
}

Result<void> check_format(const Json& json) {
  if (json.value("format", Json()) != "moeprof")
    return wrong("`format` is not \"moeprof\": not a file of `moec profile`");
  const Json version = json.value("version", Json());
  if (version != kVersion) {
    return wrong("version " + version.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 20) + " is not " +
                 std::to_string(kVersion) + ", the one that can be read: make it again with `moec profile`");
  }
  return {};
}

// A shape whose tables would need more memory than its text does is read no further.
Result<void> read_shape(const Json& json, size_t text_bytes, Profile& profile) {
  const Result<uint32_t> layers = read_count(json, "layers", kMaxProfileLayers);
  if (!layers) return layers.error();
  const Result<uint32_t> experts = read_count(json, "experts", kMaxProfileExperts);
  if (!experts) return experts.error();
  const Result<uint32_t> top_k = read_count(json, "top_k", *experts);
  if (!top_k) return top_k.error();
  profile.num_layers = *layers;
  profile.num_experts = *experts;
  profile.top_k = *top_k;
  if (uint64_t{*layers} * *experts > text_bytes) return wrong("`frequency` is too short for the shape");
  return {};
}

Result<Profile> read_profile(const Json& json, size_t text_bytes) {
  Profile profile;
  if (Result<void> r = check_format(json); !r.ok()) return r.error();
  if (Result<void> r = read_shape(json, text_bytes, profile); !r.ok()) return r.error();
  const Json trace = json.value("trace", Json(""));
  if (!trace.is_string()) return wrong("`trace` is not a text");
  profile.trace = trace.get<std::string>();
  if (Result<void> r = read_part(json, "frequency", true, read_frequency, profile); !r.ok()) return r.error();
  if (Result<void> r = read_part(json, "affinity", true, read_affinity, profile); !r.ok()) return r.error();
  if (Result<void> r = read_part(json, "learned", false, read_learned, profile); !r.ok()) return r.error();
  return profile;
}

std::string number(double value) { return Json(value).dump(); }  // the shortest text that reads back equal

// Rows, one a line.
template <class PrintRow>
std::string print_rows(const char* key, size_t num_rows, PrintRow print_row) {
  std::string text = std::string(",\n  \"") + key + "\": [";
  for (size_t l = 0; l < num_rows; ++l) text += std::string(l == 0 ? "" : ",") + "\n    [" + print_row(l) + "]";
  return text + "]";
}

std::string print_numbers(const std::vector<double>& numbers) {
  std::string text;
  for (double value : numbers) text += (text.empty() ? "" : ", ") + number(value);
  return text;
}

std::string print_affinity(const std::vector<std::map<uint32_t, double>>& layer) {
  std::string text;
  for (size_t i = 0; i < layer.size(); ++i) {
    for (const auto& [j, share] : layer[i]) {
      text += (text.empty() ? "[" : ", [") + std::to_string(i) + ", " + std::to_string(j) + ", " + number(share) + "]";
    }
  }
  return text;
}

}  // namespace

Result<Profile> parse_profile(std::string_view json) {
  const Result<Json> value = parse_json(json);
  if (!value) return value.error();
  return read_profile(*value, json.size());
}

std::string print_profile(const Profile& profile) {
  std::string text = "{\n  \"format\": \"moeprof\",\n  \"version\": " + std::to_string(kVersion);
  text += ",\n  \"layers\": " + std::to_string(profile.num_layers);
  text += ",\n  \"experts\": " + std::to_string(profile.num_experts);
  text += ",\n  \"top_k\": " + std::to_string(profile.top_k);
  text += ",\n  \"trace\": " + Json(profile.trace).dump(-1, ' ', false, Json::error_handler_t::replace);
  text +=
      print_rows("frequency", profile.frequency.size(), [&](size_t l) { return print_numbers(profile.frequency[l]); });
  text +=
      print_rows("affinity", profile.affinity.size(), [&](size_t l) { return print_affinity(profile.affinity[l]); });
  if (!profile.learned.empty()) {
    text += print_rows("learned", profile.learned.size(), [&](size_t l) { return print_numbers(profile.learned[l]); });
  }
  return text + "\n}\n";
}

}  // namespace moe::ir
