// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace moe::pack {

/// How often two experts of one layer were needed by the same dispatch: an undirected graph, weights are counts.
///
/// Memory  4 * num_nodes^2 bytes.
class CoActivation {
 public:
  explicit CoActivation(uint32_t num_nodes) : num_nodes_(num_nodes), counts_(size_t{num_nodes} * num_nodes) {}

  /// One dispatch: experts below num_nodes, none twice.
  void add(std::span<const uint16_t> experts) {
    for (size_t i = 0; i < experts.size(); ++i) {
      for (size_t j = i + 1; j < experts.size(); ++j) add(experts[i], experts[j], 1);
    }
  }
  void add(uint32_t a, uint32_t b, uint32_t times) {
    uint32_t& count = counts_[size_t{a} * num_nodes_ + b];
    count = count > UINT32_MAX - times ? UINT32_MAX : count + times;
    counts_[size_t{b} * num_nodes_ + a] = count;
  }

  uint32_t num_nodes() const { return num_nodes_; }
  uint32_t operator()(uint32_t a, uint32_t b) const { return counts_[size_t{a} * num_nodes_ + b]; }

 private:
  uint32_t num_nodes_;
  std::vector<uint32_t> counts_;  ///< symmetric, 0 on the diagonal
};

/// Clusters of nodes; each node is in one.
using Clusters = std::vector<std::vector<uint32_t>>;

/// Newman's modularity at resolution 1: share of the weight inside clusters, minus what chance would put there. 0 for a
/// graph without edges.
double modularity(const CoActivation& graph, const Clusters& clusters);

/// Clusters of at most `most_nodes` (>= 1) by the Louvain method (Blondel, Guillaume, Lambiotte, Lefebvre 2008): nodes
/// move to the neighbouring cluster that raises modularity most while it has room, then clusters become nodes, until
/// nothing moves. Best of several orders of visiting, drawn from `seed`; the same for a seed everywhere. Clusters and
/// their nodes ascend. Cost: about O(edges) a pass.
Clusters louvain(const CoActivation& graph, uint32_t most_nodes, uint64_t seed);

/// Clusters of at most `most_nodes` by joining the two that the heaviest edge connects, heaviest first, while there is
/// room: for graphs without communities, or too large for louvain().
Clusters join_heaviest(const CoActivation& graph, uint32_t most_nodes);

}  // namespace moe::pack
