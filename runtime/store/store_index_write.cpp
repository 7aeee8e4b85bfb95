// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/base/crc32c.h"
#include "runtime/store/store_index.h"

namespace moe::store {
namespace {

using nlohmann::json;

json to_json(const FileMark& mark) { return {{"name", mark.name}, {"size", mark.size_bytes}, {"crc32c", mark.crc32c}}; }

json to_json(const std::vector<FileMark>& marks) {
  json list = json::array();
  for (const FileMark& mark : marks) list.push_back(to_json(mark));
  return list;
}

json extents_of(const StoreIndex& index) {
  std::vector<const Extent*> sorted;
  for (const Extent& extent : index.extents) sorted.push_back(&extent);
  std::sort(sorted.begin(), sorted.end(), [](const Extent* a, const Extent* b) {
    return a->file != b->file ? a->file < b->file : a->offset_bytes < b->offset_bytes;
  });
  json list = json::array();
  for (const Extent* extent : sorted) {
    list.push_back({{"layer", extent->layer},
                    {"expert", extent->expert},
                    {"precision", extent->precision},
                    {"file", extent->file},
                    {"offset", extent->offset_bytes},
                    {"size", extent->size_bytes},
                    {"crc32c", extent->crc32c}});
  }
  return list;
}

json to_json(const StoreIndex& index) {
  json object = {{"format", "moe-store"},
                 {"version", 1},
                 {"num_layers", index.num_layers},
                 {"num_experts", index.num_experts},
                 {"extents", extents_of(index)},
                 {"side_files", to_json(index.side_files)},
                 {"source", to_json(index.source)},
                 {"order", json::parse(index.order)},
                 {"tensors", index.tensors.empty() ? json() : to_json(index.tensors.front())}};
  for (const char* list : {"layers", "parts", "precisions", "files"}) object[list] = json::array();
  for (const ExpertNaming& naming : index.naming) {
    object["layers"].push_back({{"before", naming.before}, {"after", naming.after}, {"fused", naming.fused}});
  }
  for (const Part& part : index.layout.parts) {
    object["parts"].push_back({{"name", part.name},
                               {"dtype", part.dtype_word},
                               {"shape", std::vector<uint64_t>(part.shape.begin(), part.shape.begin() + part.rank)},
                               {"offset", part.offset_bytes},
                               {"size", part.size_bytes}});
  }
  for (const Precision& precision : index.precisions) {
    object["precisions"].push_back({{"name", precision.name}, {"encoding", json::parse(precision.encoding)}});
  }
  for (const DataFile& file : index.files) object["files"].push_back({{"name", file.name}, {"size", file.size_bytes}});
  return object;
}

/// One line a member, and one for each thing in a member that is a list.
std::string lines_of(const json& object) {
  std::string text = "{";
  const char* between = "\n";
  for (const auto& [key, value] : object.items()) {
    text += between + json(key).dump() + ": ";
    between = ",\n";
    if (!value.is_array() || value.empty()) {
      text += value.dump();
      continue;
    }
    const char* item_between = "[\n  ";
    for (const json& item : value) {
      text += item_between + item.dump();
      item_between = ",\n  ";
    }
    text += "\n]";
  }
  return text + "\n}\n";
}

}  // namespace

std::string write_store_index(const StoreIndex& index) {
  json object = to_json(index);
  const std::string plain = object.dump();
  object["index_crc32c"] = crc32c(plain.data(), plain.size());
  return lines_of(object);
}

}  // namespace moe::store
