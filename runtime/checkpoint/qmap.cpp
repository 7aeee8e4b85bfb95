// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/qmap.h"

#include <filesystem>

#include "runtime/store/json.h"
#include "runtime/store/mapped_file.h"

namespace moe::checkpoint {

using nlohmann::json;

std::string to_json(const QuantizationMap& map) {
  nlohmann::ordered_json root = nlohmann::ordered_json::object();
  for (const auto& [module, format] : map) {
    root[module]["weights"] = precision::info(format).name;
    root[module]["activations"] = "none";
  }
  // As Python's json.dump: indented by 4, and nothing but ASCII.
  return root.dump(4, ' ', true);
}

Result<QuantizationMap> parse_map(std::string_view text, const std::string& file) {
  Result<json> root = store::parse_object(text, file);
  if (!root) return root.error();
  QuantizationMap map;
  for (const auto& [module, entry] : root->items()) {
    const auto wrong = [&, name = module](const std::string& reason) {
      return Error{Error::Kind::format, file + ": module `" + name + "`: " + reason};
    };
    const auto text_of = [&, &fields = entry](const char* key) -> const std::string* {
      if (!fields.is_object()) return nullptr;
      const auto found = fields.find(key);
      return found != fields.end() && found->is_string() ? found->get_ptr<const std::string*>() : nullptr;
    };
    const std::string* weights = text_of("weights");
    if (!weights) return wrong("no `weights`");
    const auto format = precision::find_format(*weights);
    if (!format) return wrong("`" + *weights + "` is no format of weights that is known");
    const std::string* activations = text_of("activations");
    if (activations && *activations != "none") return wrong("activations in `" + *activations + "` are not supported");
    if (*format != precision::Format::native) map[module] = *format;
  }
  return map;
}

Result<std::optional<QuantizationMap>> read_map(const std::string& dir) {
  const std::string quanto = (std::filesystem::path(dir) / kQuantoMap).string();
  const std::string own = (std::filesystem::path(dir) / kOwnMap).string();
  std::error_code ignored;
  const bool has_quanto = std::filesystem::exists(quanto, ignored);
  const bool has_own = std::filesystem::exists(own, ignored);
  if (has_quanto && has_own) {
    return Error{Error::Kind::format, dir + ": has both " + kQuantoMap + " and " + kOwnMap + "; one of them is stale"};
  }
  if (!has_quanto && !has_own) return std::optional<QuantizationMap>();
  const std::string& path = has_quanto ? quanto : own;
  Result<store::MappedFile> file = store::MappedFile::open(path);
  if (!file) return file.error();
  constexpr size_t kMostBytes = 100'000'000;
  if (file->size_bytes() > kMostBytes) return Error{Error::Kind::format, path + ": too long for a map of modules"};
  Result<QuantizationMap> map = parse_map(file->text(), path);
  if (!map) return map.error();
  return std::optional(std::move(*map));
}

}  // namespace moe::checkpoint
