// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "runtime/pack/graph.h"

namespace moe::pack {
namespace {

constexpr int kStarts = 8;
constexpr double kLeastGain = 1e-12;  // of the total weight: less is rounding

/// splitmix64: std's distributions differ from library to library.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  void shuffle(std::vector<uint32_t>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[next() % i]);
  }

 private:
  uint64_t state_;
};

/// A graph whose nodes stand for one or more experts.
struct Level {
  std::vector<std::vector<std::pair<uint32_t, double>>> edges;  ///< by node: neighbour, weight; no loops
  std::vector<double> degree;                                   ///< with the weight inside a node, counted twice
  std::vector<uint32_t> size;                                   ///< experts in a node
  double total = 0;                                             ///< sum of degrees
  size_t num_nodes() const { return edges.size(); }
};

Level first_level(const CoActivation& graph) {
  Level level;
  level.edges.resize(graph.num_nodes());
  level.degree.assign(graph.num_nodes(), 0);
  level.size.assign(graph.num_nodes(), 1);
  for (uint32_t a = 0; a < graph.num_nodes(); ++a) {
    for (uint32_t b = 0; b < graph.num_nodes(); ++b) {
      if (graph(a, b) == 0) continue;
      level.edges[a].emplace_back(b, graph(a, b));
      level.degree[a] += graph(a, b);
    }
    level.total += level.degree[a];
  }
  return level;
}

/// Moves nodes between clusters until no move gains. Returns whether any did; `cluster_of` begins as the identity.
bool move_nodes(const Level& level, uint32_t most, Random& random, std::vector<uint32_t>& cluster_of) {
  const size_t n = level.num_nodes();
  cluster_of.resize(n);
  std::iota(cluster_of.begin(), cluster_of.end(), 0u);
  std::vector<double> degree = level.degree;
  std::vector<uint32_t> size = level.size;
  std::vector<uint32_t> order = cluster_of;
  random.shuffle(order);
  std::vector<double> weight_to(n, 0);
  std::vector<uint32_t> near;
  bool any = false;
  for (bool moved = true; moved;) {
    moved = false;
    for (const uint32_t node : order) {
      const uint32_t home = cluster_of[node];
      near.assign(1, home);
      for (const auto& [neighbour, weight] : level.edges[node]) {
        const uint32_t cluster = cluster_of[neighbour];
        if (cluster != home && weight_to[cluster] == 0) near.push_back(cluster);
        weight_to[cluster] += weight;
      }
      degree[home] -= level.degree[node];
      size[home] -= level.size[node];
      const auto gain = [&](uint32_t cluster) {
        return weight_to[cluster] - degree[cluster] * level.degree[node] / level.total;
      };
      uint32_t best = home;
      double best_gain = gain(home) + kLeastGain * level.total;
      for (const uint32_t cluster : near) {
        if (size[cluster] + level.size[node] > most || gain(cluster) <= best_gain) continue;
        best = cluster;
        best_gain = gain(cluster);
      }
      for (const uint32_t cluster : near) weight_to[cluster] = 0;
      degree[best] += level.degree[node];
      size[best] += level.size[node];
      cluster_of[node] = best;
      moved |= best != home;
    }
    any |= moved;
  }
  return any;
}

/// Clusters become the nodes of the next level; `cluster_of` is renumbered without gaps.
Level aggregate(const Level& level, std::vector<uint32_t>& cluster_of) {
  std::vector<uint32_t> number(level.num_nodes(), UINT32_MAX);
  uint32_t count = 0;
  for (uint32_t& cluster : cluster_of) {
    if (number[cluster] == UINT32_MAX) number[cluster] = count++;
    cluster = number[cluster];
  }
  Level next;
  next.edges.resize(count);
  next.degree.assign(count, 0);
  next.size.assign(count, 0);
  next.total = level.total;
  std::vector<std::vector<uint32_t>> members(count);
  for (uint32_t node = 0; node < cluster_of.size(); ++node) members[cluster_of[node]].push_back(node);
  std::vector<double> weight_to(count, 0);
  for (uint32_t cluster = 0; cluster < count; ++cluster) {
    for (const uint32_t node : members[cluster]) {
      next.degree[cluster] += level.degree[node];
      next.size[cluster] += level.size[node];
      for (const auto& [neighbour, weight] : level.edges[node]) {
        if (cluster_of[neighbour] != cluster) weight_to[cluster_of[neighbour]] += weight;
      }
    }
    for (uint32_t other = 0; other < count; ++other) {
      if (weight_to[other] == 0) continue;
      next.edges[cluster].emplace_back(other, weight_to[other]);
      weight_to[other] = 0;
    }
  }
  return next;
}

Clusters one_start(const Level& first, uint32_t most, Random& random) {
  std::vector<uint32_t> of_expert(first.num_nodes());
  std::iota(of_expert.begin(), of_expert.end(), 0u);
  Level level = first;
  std::vector<uint32_t> cluster_of;
  while (move_nodes(level, most, random, cluster_of)) {
    level = aggregate(level, cluster_of);
    for (uint32_t& place : of_expert) place = cluster_of[place];
  }
  std::vector<std::vector<uint32_t>> members(level.num_nodes());
  for (uint32_t expert = 0; expert < of_expert.size(); ++expert) members[of_expert[expert]].push_back(expert);
  std::sort(members.begin(), members.end());
  return members;
}

}  // namespace

double modularity(const CoActivation& graph, const Clusters& clusters) {
  double total = 0, inside = 0, by_chance = 0;
  for (const auto& cluster : clusters) {
    double degree = 0;
    for (const uint32_t a : cluster) {
      for (uint32_t b = 0; b < graph.num_nodes(); ++b) degree += graph(a, b);
      for (const uint32_t b : cluster) inside += graph(a, b);
    }
    total += degree;
    by_chance += degree * degree;
  }
  return total == 0 ? 0 : inside / total - by_chance / (total * total);
}

Clusters louvain(const CoActivation& graph, uint32_t most_nodes, uint64_t seed) {
  const Level first = first_level(graph);
  Random random(seed);
  Clusters best;
  double most = 0;
  for (int start = 0; start < kStarts; ++start) {
    Clusters clusters = one_start(first, most_nodes, random);
    const double reached = modularity(graph, clusters);
    if (!best.empty() && reached <= most) continue;
    best = std::move(clusters);
    most = reached;
  }
  return best;
}

Clusters join_heaviest(const CoActivation& graph, uint32_t most_nodes) {
  struct Edge {
    uint32_t weight, a, b;
  };
  std::vector<Edge> edges;
  for (uint32_t a = 0; a < graph.num_nodes(); ++a) {
    for (uint32_t b = a + 1; b < graph.num_nodes(); ++b) {
      if (graph(a, b) > 0) edges.push_back({graph(a, b), a, b});
    }
  }
  std::stable_sort(edges.begin(), edges.end(), [](const Edge& x, const Edge& y) { return x.weight > y.weight; });
  std::vector<uint32_t> cluster_of(graph.num_nodes());
  std::iota(cluster_of.begin(), cluster_of.end(), 0u);
  Clusters members(graph.num_nodes());
  for (uint32_t node = 0; node < graph.num_nodes(); ++node) members[node] = {node};
  for (const Edge& edge : edges) {
    const uint32_t into = std::min(cluster_of[edge.a], cluster_of[edge.b]);
    const uint32_t from = std::max(cluster_of[edge.a], cluster_of[edge.b]);
    if (into == from || members[into].size() + members[from].size() > most_nodes) continue;
    for (const uint32_t node : members[from]) cluster_of[node] = into;
    members[into].insert(members[into].end(), members[from].begin(), members[from].end());
    members[from].clear();
  }
  std::erase_if(members, [](const auto& cluster) { return cluster.empty(); });
  for (auto& cluster : members) std::sort(cluster.begin(), cluster.end());
  std::sort(members.begin(), members.end());
  return members;
}

}  // namespace moe::pack
