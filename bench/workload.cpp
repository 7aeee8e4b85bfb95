// SPDX-License-Identifier: Apache-2.0
#include "bench/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace moe::bench {
namespace {

/// The same numbers with every standard library, unlike <random>'s distributions.
class Dice {
 public:
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(unit() * n); }

 private:
  std::mt19937_64 engine_{20'240'501};
};

using Order = std::vector<int32_t>;  ///< of experts, the most popular first

std::vector<Order> new_orders(Dice& dice, const ir::ModelShape& shape) {
  std::vector<Order> orders(shape.num_layers, Order(shape.num_experts));
  for (Order& order : orders) {
    std::iota(order.begin(), order.end(), 0);
    for (uint32_t i = shape.num_experts; i > 1; --i) std::swap(order[i - 1], order[dice.below(i)]);
  }
  return orders;
}

/// Sums of 1/1 .. 1/n over their total.
std::vector<double> zipf_shares(uint32_t n) {
  std::vector<double> shares(n);
  double sum = 0;
  for (uint32_t i = 0; i < n; ++i) shares[i] = sum += 1.0 / (i + 1);
  for (double& share : shares) share /= sum;
  return shares;
}

bool is_chosen(const Routing& routing, size_t num, int32_t id) {
  return std::find(routing.ids.end() - static_cast<long>(num), routing.ids.end(), id) != routing.ids.end();
}

}  // namespace

Routing zipf_routing(const ir::ModelShape& shape, size_t tokens, size_t tokens_per_phase) {
  Routing routing{shape, {}, {}, tokens * shape.num_layers};
  Dice dice;
  const std::vector<double> shares = zipf_shares(shape.num_experts);
  std::vector<Order> orders;
  for (size_t token = 0; token < tokens; ++token) {
    if (token == 0 || (tokens_per_phase != 0 && token % tokens_per_phase == 0)) orders = new_orders(dice, shape);
    for (const Order& order : orders) {
      std::vector<double> weights(shape.top_k);
      for (uint32_t k = 0; k < shape.top_k;) {
        const auto at = std::upper_bound(shares.begin(), shares.end() - 1, dice.unit()) - shares.begin();
        const int32_t id = order[static_cast<size_t>(at)];
        if (is_chosen(routing, k, id)) continue;
        routing.ids.push_back(id);
        weights[k++] = 0.1 + dice.unit();
      }
      std::sort(weights.rbegin(), weights.rend());
      const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
      for (const double weight : weights) routing.weights.push_back(static_cast<float>(weight / sum));
    }
  }
  return routing;
}

Routing skewed_routing(const ir::ModelShape& shape, size_t tokens) {
  Routing routing{shape, {}, {}, tokens * shape.num_layers};
  Dice dice;
  for (size_t d = 0; d < routing.num_dispatches; ++d) {
    for (uint32_t k = 0; k < shape.top_k;) {
      const auto id = static_cast<int32_t>(shape.num_experts * std::pow(dice.unit(), 1.6));
      if (is_chosen(routing, k, id)) continue;
      routing.ids.push_back(id);
      ++k;
    }
    for (uint32_t k = 0; k < shape.top_k; ++k) routing.weights.push_back(static_cast<float>(dice.unit()));
  }
  return routing;
}

std::string name_of(const ir::ModelShape& shape) {
  return fmt::format("{}x{}x{}", shape.num_layers, shape.num_experts, shape.top_k);
}

}  // namespace moe::bench
