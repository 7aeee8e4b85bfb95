// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace engine {

/// The bytes of a regular file of at most `max_bytes`. Errors: machine (cannot be read), data (too large).
std::string read_file(const std::filesystem::path& path, size_t max_bytes);

/// Parses one JSON object. `where` names it in messages. Errors: data (with the offset).
nlohmann::json parse_json_object(std::string_view text, const std::string& where);

/// Reads members of a JSON object that nobody vouches for. Each getter checks type and range, and names file, key and
/// what was expected when they are wrong. A member that is null counts as absent.
class JsonObject {
 public:
  /// Borrows `object`; `where` is the file, and the path inside it. Errors: data (not an object).
  JsonObject(const nlohmann::json& object, std::string where);

  bool has(const char* key) const;
  /// Also of a member that is null.
  bool mentions(const char* key) const;
  /// Errors: data (absent). The reference lives as long as the object.
  const nlohmann::json& at(const char* key) const;
  JsonObject object(const char* key) const;

  uint64_t integer(const char* key, uint64_t min, uint64_t max) const;
  uint64_t integer_or(const char* key, uint64_t fallback, uint64_t min, uint64_t max) const;
  double number(const char* key, double min, double max) const;
  bool boolean_or(const char* key, bool fallback) const;
  std::string string(const char* key) const;
  std::string string_or(const char* key, const char* fallback) const;

  /// Errors: data, when there is a member of another name: what is not understood must not be ignored.
  void allow_only(std::initializer_list<std::string_view> keys) const;

  const std::string& where() const { return where_; }

 private:
  const nlohmann::json& object_;
  std::string where_;
};

/// `value` as an integer in min..max. Errors: data, naming `where`.
uint64_t to_integer(const nlohmann::json& value, uint64_t min, uint64_t max, const std::string& where);

}  // namespace engine
