// SPDX-License-Identifier: Apache-2.0
#include "runtime/pack/source.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <unordered_set>

#include "runtime/store/extent_store.h"

namespace moe::pack {
namespace {

using store::ExpertNaming;
using store::Experts;
using store::Part;
using store::Tensor;

/// Whether it was cut out of a tensor of all experts.
bool is_slice(const Experts& experts, const Tensor& tensor) {
  const std::less<const Tensor*> before;  // whatever the two point into
  const Tensor* begin = experts.slices.data();
  return !before(&tensor, begin) && before(&tensor, begin + experts.slices.size());
}

/// Cuts `0` + `after` + part off the end of the name of expert 0's first part; checks all other names of the layer.
Result<ExpertNaming> naming_of(const Experts& experts, uint32_t layer, const std::string& after,
                               const std::string& dir) {
  const size_t num_parts = experts.layout.parts.size();
  const auto tensor = [&](uint32_t expert, size_t part) -> const Tensor& {
    return *experts.sources[(size_t{layer} * experts.num_experts + expert) * num_parts + part];
  };
  const std::string& first = tensor(0, 0).name;
  const size_t tail = 1 + after.size() + experts.layout.parts[0].name.size();
  ExpertNaming naming{first.substr(0, first.size() - std::min(tail, first.size())), after,
                      is_slice(experts, tensor(0, 0))};
  for (uint32_t expert = 0; expert < experts.num_experts; ++expert) {
    for (size_t part = 0; part < num_parts; ++part) {
      const std::string& name = tensor(expert, part).name;
      const std::string expected = naming.name_of(expert, experts.layout.parts[part].name);
      if (is_slice(experts, tensor(expert, part)) != naming.fused) {
        return Error{Error::Kind::unsupported, dir + ": tensor `" + name + "` is " + (naming.fused ? "no" : "a") +
                                                   " part of a tensor of all experts, unlike `" + first + "`"};
      }
      if (name == expected) continue;
      return Error{Error::Kind::unsupported,
                   dir + ": tensor `" + name + "` is not named like its siblings, `" + expected + "`"};
    }
  }
  return naming;
}

std::vector<Tensor> others_of(const store::Checkpoint& checkpoint) {
  const Experts& experts = checkpoint.experts;
  const std::unordered_set<const Tensor*> of_experts(experts.sources.begin(), experts.sources.end());
  std::unordered_set<const char*> cut_apart;  // where they begin
  for (const Tensor* source : experts.sources) {
    if (is_slice(experts, *source)) cut_apart.insert(source->data);
  }
  std::vector<Tensor> others;
  for (const Tensor& tensor : checkpoint.model.tensors) {
    const bool fused = tensor.size_bytes > 0 && cut_apart.contains(tensor.data);
    if (!fused && !of_experts.contains(&tensor)) others.push_back(tensor);
  }
  return others;
}

Result<std::vector<std::string>> side_files_of(const std::string& dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(dir, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    const std::string name = entry->path().filename().string();
    if (entry->is_regular_file(ignored) && is_side_file(name)) names.push_back(name);
  }
  if (error) return Error{Error::Kind::io, "cannot list `" + dir + "`: " + error.message()};
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

bool is_side_file(const std::string& name) {
  if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._- ") != name.npos)
    return false;
  if (name.starts_with(".") || name.ends_with(".safetensors.index.json")) return false;
  if (name == store::kIndexName || name == "cluster_manifest.json") return false;
  constexpr std::string_view kEndings[] = {".json", ".txt", ".model", ".jinja", ".tiktoken", ".md"};
  return name.starts_with("LICENSE") || name.starts_with("NOTICE") ||
         std::any_of(std::begin(kEndings), std::end(kEndings), [&](auto ending) { return name.ends_with(ending); });
}

Result<Source> open_source(const std::string& dir) {
  if (store::is_store(dir))
    return Error{Error::Kind::invalid, "`" + dir + "` is a store already; name the model's folder"};
  Source source;
  source.dir = dir;
  Result<store::Checkpoint> checkpoint = store::open_checkpoint(dir);
  if (!checkpoint) return checkpoint.error();
  source.checkpoint = std::move(*checkpoint);
  const std::string after = source.checkpoint.naming == store::Naming::chronos ? "__" : ".";
  for (uint32_t layer = 0; layer < source.experts().num_layers; ++layer) {
    Result<ExpertNaming> naming = naming_of(source.experts(), layer, after, dir);
    if (!naming) return naming.error();
    source.naming.push_back(std::move(*naming));
  }
  source.others = others_of(source.checkpoint);
  Result<std::vector<std::string>> names = side_files_of(dir);
  if (!names) return names.error();
  source.side_files = std::move(*names);
  return source;
}

}  // namespace moe::pack
