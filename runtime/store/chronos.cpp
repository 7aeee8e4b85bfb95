// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/chronos.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "runtime/store/file_name.h"
#include "runtime/store/json.h"
#include "runtime/store/layout.h"

namespace moe::store {
namespace {

using nlohmann::json;

constexpr const char* kManifest = "cluster_manifest.json";
constexpr uint64_t kMaxExperts = 65534;
constexpr uint64_t kMaxLayers = 4096;

struct Cluster {
  std::string file;
  std::set<uint32_t> experts;
};

struct Manifest {
  uint64_t num_layers = 0;
  uint64_t num_experts = 0;
  std::vector<Cluster> clusters;
};

class ManifestReader {
 public:
  ManifestReader(const json& object, const std::string& where) : object_(object), where_(where) {}

  Result<Manifest> read() {
    if (get(object_, "version") != json(1)) {
      return Error{Error::Kind::unsupported, where_ + ": a cache of version " + get(object_, "version").dump() +
                                                 "; version 1 is what can be read"};
    }
    if (get(object_, "storage_format") != json("safetensors")) {
      return Error{Error::Kind::unsupported,
                   where_ + ": `storage_format` is not \"safetensors\"; export the cache again"};
    }
    if (!read_number("num_layers", kMaxLayers, manifest_.num_layers)) return bad_number("num_layers", kMaxLayers);
    if (!read_number("num_experts", kMaxExperts, manifest_.num_experts)) return bad_number("num_experts", kMaxExperts);
    const json& clusters = get(object_, "clusters");
    if (!clusters.is_array()) return wrong("`clusters` is not a list");
    for (const json& cluster : clusters) {
      if (Result<void> read = read_cluster(cluster); !read) return read.error();
    }
    if (of_expert_.size() != manifest_.num_experts) {
      return wrong(std::to_string(of_expert_.size()) + " of " + std::to_string(manifest_.num_experts) +
                   " experts are in a cluster");
    }
    if (Result<void> same = check_map(); !same) return same.error();
    return std::move(manifest_);
  }

 private:
  Error wrong(const std::string& reason) const { return {Error::Kind::format, where_ + ": " + reason}; }
  Error bad_number(const char* name, uint64_t most) const {
    return wrong("`" + std::string(name) + "` is not a whole number from 1 to " + std::to_string(most));
  }
  static const json& get(const json& object, const char* name) {
    static const json none;
    if (!object.is_object()) return none;
    const auto found = object.find(name);
    return found == object.end() ? none : *found;
  }
  bool read_number(const char* name, uint64_t most, uint64_t& into) const {
    const json& value = get(object_, name);
    if (!value.is_number_unsigned()) return false;
    into = value.get<uint64_t>();
    return into >= 1 && into <= most;
  }

  Result<void> read_cluster(const json& described) {
    const uint64_t id = manifest_.clusters.size();
    const std::string of = "clusters[" + std::to_string(id) + "]: ";
    Cluster cluster;
    const json& file = get(described, "file");
    if (!file.is_string() || !is_plain_file_name(file.get_ref<const std::string&>())) {
      return wrong(of + "`file` is not the name of a file in this folder");
    }
    cluster.file = file.get<std::string>();
    const bool known = std::any_of(manifest_.clusters.begin(), manifest_.clusters.end(),
                                   [&](const Cluster& other) { return other.file == cluster.file; });
    if (known) return wrong(of + "`" + cluster.file + "` is the file of a cluster before it");
    const json& cluster_id = get(described, "cluster_id");
    if (!cluster_id.is_number_unsigned()) return wrong(of + "`cluster_id` is not a whole number");
    const json& experts = get(described, "experts");
    if (!experts.is_array()) return wrong(of + "`experts` is not a list");
    for (const json& expert : experts) {
      if (!expert.is_number_unsigned() || expert.get<uint64_t>() >= manifest_.num_experts) {
        return wrong(of + "`" + expert.dump() + "` is not an expert below " + std::to_string(manifest_.num_experts));
      }
      const auto number = expert.get<uint32_t>();
      if (!of_expert_.emplace(number, cluster_id.get<uint64_t>()).second) {
        return wrong(of + "expert " + std::to_string(number) + " is in a cluster before it");
      }
      cluster.experts.insert(number);
    }
    manifest_.clusters.push_back(std::move(cluster));
    return {};
  }

  /// `expert_to_cluster` says the same once more.
  Result<void> check_map() const {
    const json& map = get(object_, "expert_to_cluster");
    if (!map.is_object()) return wrong("`expert_to_cluster` is not an object");
    for (const auto& [expert, cluster] : of_expert_) {
      if (get(map, std::to_string(expert).c_str()) != json(cluster)) {
        return wrong("`expert_to_cluster` and `clusters` disagree about expert " + std::to_string(expert));
      }
    }
    if (map.size() != of_expert_.size()) return wrong("`expert_to_cluster` has experts that no cluster has");
    return {};
  }

  const json& object_;
  const std::string& where_;
  Manifest manifest_;
  std::map<uint32_t, uint64_t> of_expert_;  ///< expert -> cluster_id
};

/// Whether a cluster's file has its experts' tensors and no others.
Result<void> check_members(const std::vector<Tensor>& tensors, const Cluster& cluster, uint64_t num_layers,
                           const std::string& path) {
  std::set<std::pair<uint32_t, uint32_t>> found;
  for (const Tensor& tensor : tensors) {
    const auto key = chronos_expert(tensor.name);
    if (!key) return Error{Error::Kind::format, path + ": `" + tensor.name + "` is not named like `l0_e0__PART`"};
    if (key->first >= num_layers || !cluster.experts.contains(key->second)) {
      return Error{Error::Kind::format, path + ": `" + tensor.name + "` is not of this cluster, says the manifest"};
    }
    found.insert(*key);
  }
  if (found.size() == num_layers * cluster.experts.size()) return {};
  return Error{Error::Kind::format, path + ": has tensors of " + std::to_string(found.size()) +
                                        " experts, the manifest makes it " +
                                        std::to_string(num_layers * cluster.experts.size())};
}

}  // namespace

bool is_chronos_cache(const std::string& dir) {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::path(dir) / kManifest, ignored);
}

Result<ModelFiles> open_chronos_cache(const std::string& dir) {
  const std::string where = (std::filesystem::path(dir) / kManifest).string();
  Result<MappedFile> text = MappedFile::open(where);
  if (!text) return text.error();
  Result<json> object = parse_object(text->text(), where);
  if (!object) return object.error();
  Result<Manifest> manifest = ManifestReader(*object, where).read();
  if (!manifest) return manifest.error();
  ModelFiles model;
  for (const Cluster& cluster : manifest->clusters) {
    const std::string path = (std::filesystem::path(dir) / cluster.file).string();
    if (cluster.file.ends_with(".pt")) {
      return Error{Error::Kind::unsupported, path + ": a pickle, which is code; export the cache as safetensors"};
    }
    Result<std::vector<Tensor>> tensors = add_model_file(dir, cluster.file, model);
    if (!tensors) return tensors.error();
    if (Result<void> good = check_members(*tensors, cluster, manifest->num_layers, path); !good) return good.error();
    model.tensors.insert(model.tensors.end(), tensors->begin(), tensors->end());
  }
  std::sort(model.tensors.begin(), model.tensors.end(),
            [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
  model.names.emplace_back(kManifest);
  return model;
}

}  // namespace moe::store
