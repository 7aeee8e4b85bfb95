// SPDX-License-Identifier: Apache-2.0
// What ordering extents by co-activation saves: contiguous runs that a dispatch reads when none of its experts is
// resident, experts in order of their numbers against the order that `moec pack --trace` makes. The order is learnt
// from the trace's first half and counted on its second.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "replay/dispatches.h"
#include "replay/load_trace.h"
#include "runtime/pack/order.h"

namespace {

using moe::pack::LayerOrder;
using moe::replay::Trace;

struct Runs {
  uint64_t dispatches = 0;
  uint64_t extents = 0;
  uint64_t runs = 0;
};

/// place_of[expert]: where it lies in its layer.
void count(const Trace& trace, uint32_t layer, const std::vector<uint32_t>& place_of, Runs& into) {
  std::vector<uint32_t> places;
  moe::replay::for_each_dispatch(trace, layer, trace.num_tokens / 2, trace.num_tokens, [&](auto experts) {
    places.clear();
    for (const uint16_t expert : experts) places.push_back(place_of[expert]);
    std::sort(places.begin(), places.end());
    ++into.dispatches;
    into.extents += places.size();
    for (size_t i = 0; i < places.size(); ++i) into.runs += i == 0 || places[i] != places[i - 1] + 1;
  });
}

int run(const std::string& path, const std::vector<uint32_t>& caps, uint64_t seed) {
  const auto trace = moe::replay::load_trace(path);
  if (!trace) {
    fmt::print(stderr, "bench-order: {}\n", trace.error().message);
    return 3;
  }
  std::vector<uint32_t> by_number(trace->num_experts);
  for (uint32_t expert = 0; expert < trace->num_experts; ++expert) by_number[expert] = expert;
  Runs plain;
  for (uint32_t layer = 0; layer < trace->num_layers; ++layer) count(*trace, layer, by_number, plain);
  const auto per_dispatch = [](const Runs& runs) {
    return static_cast<double>(runs.runs) / static_cast<double>(runs.dispatches);
  };
  fmt::print("{} dispatches of {:.2f} experts\n", plain.dispatches,
             static_cast<double>(plain.extents) / static_cast<double>(plain.dispatches));
  fmt::print("by number                        {:.3f} runs per dispatch\n", per_dispatch(plain));
  for (const uint32_t cap : caps) {
    Runs ordered;
    uint32_t greedy = 0;
    for (uint32_t layer = 0; layer < trace->num_layers; ++layer) {
      moe::pack::CoActivation graph(trace->num_experts);
      moe::replay::for_each_dispatch(*trace, layer, 0, trace->num_tokens / 2,
                                     [&](auto experts) { graph.add(experts); });
      const LayerOrder order = moe::pack::order_layer(graph, cap, seed);
      greedy += order.method == moe::pack::OrderMethod::greedy;
      std::vector<uint32_t> place_of(trace->num_experts);
      for (uint32_t place = 0; place < order.experts.size(); ++place) place_of[order.experts[place]] = place;
      count(*trace, layer, place_of, ordered);
    }
    fmt::print("clusters of {:>4}, {:>2} layers greedy {:.3f} runs per dispatch ({:+.1f} %)\n", cap, greedy,
               per_dispatch(ordered), 100 * (per_dispatch(ordered) / per_dispatch(plain) - 1));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Contiguous runs per dispatch with and without ordered extents"};
  std::string trace;
  std::vector<uint32_t> caps{4, 8, 16, 65534};
  uint64_t seed = 1;
  app.add_option("TRACE", trace)->required();
  app.add_option("--clusters", caps, "experts in a cluster, at most")->delimiter(',')->check(CLI::PositiveNumber);
  app.add_option("--seed", seed);
  CLI11_PARSE(app, argc, argv);
  return run(trace, caps, seed);
}
