// SPDX-License-Identifier: Apache-2.0
#include "runtime/pack/plan.h"

#include <cstdio>
#include <numeric>

namespace moe::pack {
namespace {

using store::StoreIndex;

/// Gives out places, one extent behind the other.
class Places {
 public:
  Places(StoreIndex& index, uint64_t most_file_bytes) : index_(index), most_(most_file_bytes) {}

  void give(uint32_t key, uint32_t precision, uint64_t size_bytes) {
    const uint64_t bytes = store::padded(size_bytes);
    if (index_.files.empty() || index_.files.back().size_bytes + bytes > most_) add_file();
    store::DataFile& file = index_.files.back();
    store::Extent& extent = index_.extents[precision * index_.num_keys() + key];
    extent.layer = key / index_.num_experts;
    extent.expert = key % index_.num_experts;
    extent.precision = precision;
    extent.file = static_cast<uint32_t>(index_.files.size() - 1);
    extent.offset_bytes = file.size_bytes;
    extent.size_bytes = size_bytes;
    file.size_bytes += bytes;
  }

 private:
  void add_file() {
    char name[32];
    std::snprintf(name, sizeof name, "experts-%05zu.bin", index_.files.size());
    index_.files.push_back({name, 0});
  }
  StoreIndex& index_;
  uint64_t most_;
};

}  // namespace

StoreIndex plan_of(const Source& source, const std::vector<store::FileMark>& marks, const PackOptions& options) {
  StoreIndex plan;
  plan.num_layers = source.experts().num_layers;
  plan.num_experts = source.experts().num_experts;
  plan.naming = source.naming;
  plan.layout = source.experts().layout;
  plan.precisions.push_back({std::string(store::kNativePrecision), "null"});
  for (const Encoder* encoder : options.encoders) {
    plan.precisions.push_back({std::string(encoder->precision()), encoder->encoding(plan.layout)});
  }
  plan.extents.resize(plan.num_keys() * plan.precisions.size());
  std::vector<uint32_t> order = options.order;
  if (order.empty()) {
    order.resize(plan.num_keys());
    std::iota(order.begin(), order.end(), 0u);
  }
  Places places(plan, options.most_file_bytes);
  for (uint32_t precision = 0; precision < plan.precisions.size(); ++precision) {
    const uint64_t size_bytes =
        precision == 0 ? plan.expert_bytes() : options.encoders[precision - 1]->encoded_bytes(plan.layout);
    for (const uint32_t key : order) places.give(key, precision, size_bytes);
  }
  if (!source.others.empty()) plan.tensors.push_back({std::string(store::kTensorsName), 0, 0});
  for (const std::string& name : source.side_files) plan.side_files.push_back({name, 0, 0});
  plan.source = marks;
  plan.order = options.order_note;
  return plan;
}

StoreIndex without_results(StoreIndex index) {
  for (store::Extent& extent : index.extents) extent.crc32c = 0;
  for (auto* marks : {&index.tensors, &index.side_files}) {
    for (store::FileMark& mark : *marks) mark.size_bytes = 0, mark.crc32c = 0;
  }
  return index;
}

}  // namespace moe::pack
