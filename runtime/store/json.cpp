// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/json.h"

#include <set>
#include <vector>

namespace moe::store {
namespace {

using nlohmann::json;

/// nlohmann's DOM keeps the last of two equal keys; a header with one tensor at two places must not get that far.
class DuplicateKeys {
 public:
  bool see(json::parse_event_t event, const json& parsed) {
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

 private:
  std::vector<std::set<std::string>> open_;
  std::string first_;
};

}  // namespace

Result<json> parse_object(std::string_view text, const std::string& where) {
  DuplicateKeys keys;
  json value;
  try {
    value = json::parse(text.begin(), text.end(),
                        [&keys](int, json::parse_event_t event, json& parsed) { return keys.see(event, parsed); });
  } catch (const json::parse_error& e) {
    return Error{Error::Kind::format, where + ": not JSON at byte " + std::to_string(e.byte)};
  } catch (const json::exception&) {
    return Error{Error::Kind::format, where + ": has a number that no machine can hold"};
  }
  if (!value.is_object()) return Error{Error::Kind::format, where + ": not a JSON object"};
  if (!keys.first().empty()) return Error{Error::Kind::format, where + ": `" + keys.first() + "` is there twice"};
  return value;
}

}  // namespace moe::store
