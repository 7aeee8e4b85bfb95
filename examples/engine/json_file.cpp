// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/json_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "examples/engine/error.h"

namespace engine {
namespace {

// A value as a message shows it: short, on one line, whatever it is.
std::string shown(const nlohmann::json& value) {
  constexpr size_t kLongest = 40;
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  const std::string text = value.dump(-1, ' ', true);
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
}

}  // namespace

std::string read_file(const std::filesystem::path& path, size_t max_bytes) {
  std::error_code failure;
  if (!std::filesystem::exists(path, failure)) throw machine_error(fmt::format("{}: no such file", path.string()));
  if (!std::filesystem::is_regular_file(path, failure)) {
    throw machine_error(fmt::format("{}: not a regular file", path.string()));
  }
  const uintmax_t size_bytes = std::filesystem::file_size(path, failure);
  if (failure) throw machine_error(fmt::format("{}: {}", path.string(), failure.message()));
  if (size_bytes > max_bytes) {
    throw data_error(
        fmt::format("{}: {} bytes, more than the {} such a file may have", path.string(), size_bytes, max_bytes));
  }
  std::string text(size_bytes, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file) throw machine_error(fmt::format("{}: cannot be read", path.string()));
  return text;
}

nlohmann::json parse_json_object(std::string_view text, const std::string& where) {
  try {
    nlohmann::json object = nlohmann::json::parse(text);
    if (!object.is_object()) throw data_error(where + ": expected a JSON object");
    return object;
  } catch (const nlohmann::json::parse_error& error) {
    throw data_error(fmt::format("{}: not valid JSON at byte {}", where, error.byte));
  } catch (const nlohmann::json::exception&) {  // a number beyond a double
    throw data_error(where + ": not valid JSON: a number is out of range");
  }
}

uint64_t to_integer(const nlohmann::json& value, uint64_t min, uint64_t max, const std::string& where) {
  // Floats are refused even when whole: no writer of these files makes them.
  const bool whole = value.is_number_unsigned() || (value.is_number_integer() && value.get<int64_t>() >= 0);
  if (!whole || value.get<uint64_t>() < min || value.get<uint64_t>() > max) {
    throw data_error(fmt::format("{} is {}; expected an integer from {} to {}", where, shown(value), min, max));
  }
  return value.get<uint64_t>();
}

JsonObject::JsonObject(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object()) throw data_error(fmt::format("{}: expected an object, found {}", where_, shown(object)));
}

bool JsonObject::has(const char* key) const {
  const auto member = object_.find(key);
  return member != object_.end() && !member->is_null();
}

bool JsonObject::mentions(const char* key) const { return object_.contains(key); }

const nlohmann::json& JsonObject::at(const char* key) const {
  if (!has(key)) throw data_error(fmt::format("{}: `{}` is missing", where_, key));
  return object_.at(key);
}

JsonObject JsonObject::object(const char* key) const { return {at(key), fmt::format("{}: `{}`", where_, key)}; }

uint64_t JsonObject::integer(const char* key, uint64_t min, uint64_t max) const {
  return to_integer(at(key), min, max, fmt::format("{}: `{}`", where_, key));
}

uint64_t JsonObject::integer_or(const char* key, uint64_t fallback, uint64_t min, uint64_t max) const {
  return has(key) ? integer(key, min, max) : fallback;
}

double JsonObject::number(const char* key, double min, double max) const {
  const nlohmann::json& value = at(key);
  if (!value.is_number() || !(value.get<double>() >= min && value.get<double>() <= max)) {
    throw data_error(
        fmt::format("{}: `{}` is {}; expected a number from {} to {}", where_, key, shown(value), min, max));
  }
  return value.get<double>();
}

bool JsonObject::boolean_or(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  const nlohmann::json& value = at(key);
  if (!value.is_boolean()) {
    throw data_error(fmt::format("{}: `{}` is {}; expected true or false", where_, key, shown(value)));
  }
  return value.get<bool>();
}

std::string JsonObject::string(const char* key) const {
  const nlohmann::json& value = at(key);
  if (!value.is_string()) {
    throw data_error(fmt::format("{}: `{}` is {}; expected a string", where_, key, shown(value)));
  }
  return value.get<std::string>();
}

std::string JsonObject::string_or(const char* key, const char* fallback) const {
  return has(key) ? string(key) : fallback;
}

void JsonObject::allow_only(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, value] : object_.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      throw data_error(fmt::format("{}: `{}` is not supported", where_, key));
    }
  }
}

}  // namespace engine
