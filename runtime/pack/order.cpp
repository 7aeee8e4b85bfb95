// SPDX-License-Identifier: Apache-2.0
#include "runtime/pack/order.h"

#include <algorithm>
#include <numeric>

namespace moe::pack {
namespace {

constexpr double kLeastModularity = 0.01;
constexpr uint32_t kMostNodes = 2896;  // 2896^2 / 2: four million edges
constexpr int kMostPasses = 50;

/// Turns pieces of the path around while that puts heavier edges side by side (2-opt).
void improve(const CoActivation& graph, std::vector<uint32_t>& path) {
  const size_t n = path.size();
  const auto weight = [&](size_t i, size_t j) -> int64_t {  // of places; -1 and n are the ends
    return i >= n || j >= n ? 0 : graph(path[i], path[j]);
  };
  for (int pass = 0; pass < kMostPasses; ++pass) {
    bool better = false;
    for (size_t i = 0; i + 1 < n; ++i) {
      for (size_t j = i + 1; j < n; ++j) {
        const int64_t now = weight(i - 1, i) + weight(j, j + 1);
        if (weight(i - 1, j) + weight(i, j + 1) <= now) continue;
        std::reverse(path.begin() + static_cast<ptrdiff_t>(i), path.begin() + static_cast<ptrdiff_t>(j) + 1);
        better = true;
      }
    }
    if (!better) return;
  }
}

/// Puts one path behind the other: always the one with the heaviest edge from one of its ends to the end reached.
std::vector<uint32_t> join_paths(const CoActivation& graph, Clusters paths) {
  std::vector<uint32_t> all;
  while (!paths.empty()) {
    size_t best = 0;
    bool turned = false;
    int64_t most = -1;
    for (size_t i = 0; i < paths.size() && !all.empty(); ++i) {
      for (const bool turn : {false, true}) {
        const int64_t weight = graph(all.back(), turn ? paths[i].back() : paths[i].front());
        if (weight <= most) continue;
        most = weight;
        best = i;
        turned = turn;
      }
    }
    if (turned) std::reverse(paths[best].begin(), paths[best].end());
    all.insert(all.end(), paths[best].begin(), paths[best].end());
    paths.erase(paths.begin() + static_cast<ptrdiff_t>(best));
  }
  return all;
}

/// A cluster's nodes as a path: nearest neighbour after nearest neighbour, then improved.
std::vector<uint32_t> path_of(const CoActivation& graph, std::vector<uint32_t> nodes) {
  for (size_t i = 1; i < nodes.size(); ++i) {
    const auto next =
        std::max_element(nodes.begin() + static_cast<ptrdiff_t>(i), nodes.end(),
                         [&](uint32_t x, uint32_t y) { return graph(nodes[i - 1], x) < graph(nodes[i - 1], y); });
    std::swap(nodes[i], *next);
  }
  improve(graph, nodes);
  return nodes;
}

}  // namespace

LayerOrder order_layer(const CoActivation& graph, uint32_t most_nodes, uint64_t seed) {
  LayerOrder order;
  if (graph.num_nodes() <= kMostNodes) order.clusters = louvain(graph, most_nodes, seed);
  if (order.clusters.empty() || modularity(graph, order.clusters) < kLeastModularity) {
    order.clusters = join_heaviest(graph, most_nodes);
    order.method = OrderMethod::greedy;
  }
  Clusters paths;
  for (const auto& cluster : order.clusters) paths.push_back(path_of(graph, cluster));
  order.experts = join_paths(graph, std::move(paths));
  return order;
}

}  // namespace moe::pack
