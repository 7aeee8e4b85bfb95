// SPDX-License-Identifier: Apache-2.0
#include "runtime/policy/manifest.h"

#include <algorithm>

#include "runtime/store/json.h"

namespace moe {
namespace {

using nlohmann::json;

/// Reads the keys of one manifest; remembers the first that has the wrong type.
class Fields {
 public:
  Fields(const json& object, const std::string& where) : object_(object), where_(where) {}

  void read(const char* key, std::string& out) {
    const auto found = object_.find(key);
    if (found == object_.end()) return;
    if (!found->is_string()) return wrong(key, "a string");
    out = found->get<std::string>();
  }
  void read(const char* key, uint64_t& out) {
    const auto found = object_.find(key);
    if (found == object_.end()) return;
    if (!found->is_number_unsigned()) return wrong(key, "a whole number");
    out = found->get<uint64_t>();
  }
  /// An array of strings, or one string with commas.
  void read(const char* key, std::vector<std::string>& out) {
    const auto found = object_.find(key);
    if (found == object_.end()) return;
    if (found->is_string()) return split(found->get_ref<const std::string&>(), out);
    if (!found->is_array()) return wrong(key, "an array of strings");
    for (const json& one : *found) {
      if (!one.is_string()) return wrong(key, "an array of strings");
      split(one.get_ref<const std::string&>(), out);
    }
  }
  const std::string& problem() const { return problem_; }

 private:
  static void split(const std::string& list, std::vector<std::string>& out) {
    for (size_t begin = 0; begin < list.size();) {
      const size_t comma = std::min(list.find(',', begin), list.size());
      const std::string one = list.substr(begin, comma - begin);
      if (!one.empty()) out.push_back(one);
      begin = comma + 1;
    }
  }
  void wrong(const char* key, const char* expected) {
    if (problem_.empty()) problem_ = where_ + ": `" + key + "` is not " + expected;
  }
  const json& object_;
  const std::string& where_;
  std::string problem_;
};

}  // namespace

Result<Manifest> parse_manifest(std::string_view text, const std::string& where) {
  Result<json> object = store::parse_object(text, where);
  if (!object) return object.error();
  Manifest manifest;
  uint64_t abi = 0;
  Fields fields(*object, where);
  fields.read("name", manifest.name);
  fields.read("expert_bytes", manifest.expert_bytes);
  fields.read("abi", abi);
  fields.read("symbol", manifest.symbol);
  fields.read("cpu", manifest.cpu);
  fields.read("metrics", manifest.metrics);
  std::vector<std::string> features;
  fields.read("features", features);
  // As LLVM writes them: "+avx2" is needed, "-avx2" is not.
  for (std::string& one : features) {
    if (one[0] != '-') manifest.features.push_back(one[0] == '+' ? one.substr(1) : one);
  }
  if (!fields.problem().empty()) return Error{Error::Kind::format, fields.problem()};
  manifest.abi = static_cast<uint32_t>(std::min<uint64_t>(abi, UINT32_MAX));
  return manifest;
}

std::string make_manifest(const decision::Params& p, const std::string& name) {
  static constexpr const char* kEvictions[] = {"lru",     "lfu", "score", "freq_threshold", "fifo",   "sieve",
                                               "s3_fifo", "arc", "lirs",  "w_tinylfu",      "random", "least"};
  static constexpr const char* kStrategies[] = {"none",     "history", "lookahead",  "gate", "affinity",
                                                "sequence", "learned", "trajectory", "most"};
  const json manifest = {
      {"abi", decision::kAbiVersion},
      {"name", name},
      {"num_layers", p.num_layers},
      {"num_experts", p.num_experts},
      {"top_k", p.top_k},
      {"expert_bytes", 0},
      {"eviction", kEvictions[p.eviction]},
      {"scope", p.scope_layer ? "layer" : "global"},
      {"capacity", p.capacity},
      {"total_capacity", p.total_capacity()},
      {"strategy", kStrategies[p.strategy]},
      {"exactness", p.miss == static_cast<uint32_t>(decision::MissAction::load) ? "exact" : "exact_on_host"},
      {"timing_free", p.strategy == static_cast<uint32_t>(decision::Strategy::none) || !p.cancel_stale},
      {"metrics", {"hit_rate"}},
      {"monitor_window", p.monitor_window},
      {"log_interval", p.log_interval},
  };
  return manifest.dump();
}

}  // namespace moe
