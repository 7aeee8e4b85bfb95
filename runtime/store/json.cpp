// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/json.h"

#include <set>
#include <vector>

namespace moe::store {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;  // printing a value again recurses

/// nlohmann's DOM keeps the last of two equal keys; a header with one tensor at two places must not get that far.
class DuplicateKeys {
 public:
  bool see(int depth, json::parse_event_t event, const json& parsed) {
    if (depth > kMaxDepth) too_deep_ = true;
    if (too_deep_) return false;
    if (event == json::parse_event_t::object_start) open_.emplace_back();
    if (event == json::parse_event_t::object_end) open_.pop_back();
    if (event == json::parse_event_t::key && first_.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_.back().insert(key).second) first_ = key.empty() ? "\"\"" : key;
    }
    return true;
  }
  /// "" when there is none.
  const std::string& first() const { return first_; }
  bool too_deep() const { return too_deep_; }

 private:
  std::vector<std::set<std::string>> open_;
  std::string first_;
  bool too_deep_ = false;
};

}  // namespace

Result<json> parse_object(std::string_view text, const std::string& where) {
  DuplicateKeys keys;
  json value;
  try {
    value = json::parse(text.begin(), text.end(), [&keys](int depth, json::parse_event_t event, json& parsed) {
      return keys.see(depth, event, parsed);
    });
  } catch (const json::parse_error& e) {
    return Error{Error::Kind::format, where + ": not JSON at byte " + std::to_string(e.byte)};
  } catch (const json::exception&) {
    return Error{Error::Kind::format, where + ": has a number that no machine can hold"};
  }
  if (keys.too_deep()) return Error{Error::Kind::format, where + ": nested more than 64 deep"};
  if (!value.is_object()) return Error{Error::Kind::format, where + ": not a JSON object"};
  if (!keys.first().empty()) return Error{Error::Kind::format, where + ": `" + keys.first() + "` is there twice"};
  return value;
}

}  // namespace moe::store
