// SPDX-License-Identifier: Apache-2.0
// In which order experts of a layer lie in a file, so that one dispatch reads few contiguous runs.
//
// A dispatch that reads k experts reads k runs less one for each two of them that lie side by side. So good neighbours
// are experts that are often needed together: experts are clustered by co-activation, each cluster is laid out as a
// path along its heaviest edges, and clusters follow each other by the edge between their ends. Only pairs of one layer
// count: a dispatch reads one layer.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/pack/graph.h"

namespace moe::pack {

/// How a layer's clusters were found.
enum class OrderMethod { louvain, greedy };

struct LayerOrder {
  std::vector<uint32_t> experts;  ///< every expert once, in order of place
  Clusters clusters;              ///< each lies in one piece
  OrderMethod method = OrderMethod::louvain;
};

/// Orders a layer's experts; clusters of at most `most_nodes` (>= 1). Louvain's, or join_heaviest()'s where modularity
/// says that there are no communities (below 0.01) or the graph has more than four million edges. The same for a seed.
LayerOrder order_layer(const CoActivation& graph, uint32_t most_nodes, uint64_t seed);

}  // namespace moe::pack
