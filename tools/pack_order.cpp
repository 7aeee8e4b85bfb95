// SPDX-License-Identifier: Apache-2.0
#include "tools/pack_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "replay/dispatches.h"
#include "replay/load_trace.h"
#include "runtime/pack/order.h"

namespace moe::tools {
namespace {

constexpr uint64_t kClusterBytes = uint64_t{64} << 20;

}  // namespace

Result<void> order_by_trace(const pack::Source& source, const OrderOptions& options, pack::PackOptions& into) {
  const Result<replay::Trace> trace = replay::load_trace(options.trace);
  if (!trace) return trace.error();
  const uint32_t num_layers = source.experts().num_layers, num_experts = source.experts().num_experts;
  if (trace->num_layers != num_layers || trace->num_experts != num_experts) {
    return Error{Error::Kind::invalid,
                 fmt::format("`{}` has {} layers of {} experts, the model has {} of {}", options.trace,
                             trace->num_layers, trace->num_experts, num_layers, num_experts)};
  }
  const uint64_t extent_bytes = store::padded(source.expert_bytes());
  const uint64_t cluster_bytes = options.cluster_bytes.value_or(std::max(kClusterBytes, 2 * extent_bytes));
  if (cluster_bytes < extent_bytes) {
    return Error{Error::Kind::invalid, fmt::format("a cluster of {} bytes cannot hold an expert, which takes {}",
                                                   cluster_bytes, extent_bytes)};
  }
  const auto most = static_cast<uint32_t>(std::min<uint64_t>(cluster_bytes / extent_bytes, num_experts));
  nlohmann::json methods = nlohmann::json::array();
  for (uint32_t layer = 0; layer < num_layers; ++layer) {
    pack::CoActivation graph(num_experts);
    replay::for_each_dispatch(*trace, layer, 0, trace->num_tokens, [&](auto experts) { graph.add(experts); });
    const pack::LayerOrder order = pack::order_layer(graph, most, options.seed);
    for (const uint32_t expert : order.experts) into.order.push_back(layer * num_experts + expert);
    methods.push_back(order.method == pack::OrderMethod::louvain ? "louvain" : "greedy");
  }
  into.order_note = nlohmann::json{{"method", "co-activation"},
                                   {"by_layer", methods},
                                   {"cluster_bytes", cluster_bytes},
                                   {"seed", options.seed},
                                   {"tokens", trace->num_tokens}}
                        .dump();
  return {};
}

}  // namespace moe::tools
