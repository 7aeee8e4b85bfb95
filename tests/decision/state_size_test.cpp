// SPDX-License-Identifier: Apache-2.0
// The state of an eviction rule takes at most 64 bytes for each (layer, expert), predictors' tables left out.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include "runtime/decision/state.h"

namespace {

using namespace moe;
using decision::Eviction;

constexpr double kMost = 64;

struct Shape {
  uint32_t num_layers, num_experts, top_k;
};
constexpr Shape kShapes[] = {{27, 64, 6}, {61, 256, 8}};

/// Every default of the language.
decision::Params params_of(Shape shape, Eviction rule, bool scope_layer, uint32_t percent) {
  decision::Params p{};
  p.num_layers = shape.num_layers;
  p.num_experts = shape.num_experts;
  p.top_k = shape.top_k;
  p.eviction = static_cast<uint32_t>(rule);
  p.admit = decision::kAdmitAlways;
  p.scope_layer = scope_layer;
  p.capacity = (scope_layer ? 1 : shape.num_layers) * shape.num_experts * percent / 100;
  p.freq_window = 100;
  p.history_window = 50;
  p.budget = 4;
  p.monitor_window = 100;
  return p;
}

double bytes_per_expert(const decision::Params& p) {
  return static_cast<double>(decision::state_bytes(p)) / p.num_keys();
}

/// The built-in rules; `least` goes by an expression, whose variables say what is kept.
template <class Use>
void for_every_rule(Use use) {
  for (uint32_t rule = 0; rule < static_cast<uint32_t>(Eviction::least); ++rule) {
    for (const Shape shape : kShapes) {
      for (const bool scope_layer : {false, true}) use(static_cast<Eviction>(rule), shape, scope_layer);
    }
  }
}

/// What all of a policy's places, and who is in them, take where every expert has a place: 4 bytes for place_of, 40 for
/// a resident, 4 for the stack of free places; and these rules' own 16 (rank and tag; two lists; a list and a count).
/// With the scratch of one dispatch, shared by the layers, that is more than kMost.
bool is_large(Eviction rule) {
  return rule == Eviction::lfu || rule == Eviction::score || rule == Eviction::lirs || rule == Eviction::w_tinylfu;
}

}  // namespace

TEST_CASE("half of the experts resident: at most 64 bytes for each") {
  for_every_rule([](Eviction rule, Shape shape, bool scope_layer) {
    CAPTURE(static_cast<uint32_t>(rule));
    CAPTURE(shape.num_layers);
    CAPTURE(scope_layer);
    CHECK(bytes_per_expert(params_of(shape, rule, scope_layer, 50)) <= kMost);
  });
}

TEST_CASE("all experts resident: at most 64 bytes for each") {
  for_every_rule([](Eviction rule, Shape shape, bool scope_layer) {
    if (is_large(rule)) return;
    CAPTURE(static_cast<uint32_t>(rule));
    CAPTURE(shape.num_layers);
    CAPTURE(scope_layer);
    CHECK(bytes_per_expert(params_of(shape, rule, scope_layer, 100)) <= kMost);
  });
}

TEST_CASE("all experts resident, lfu, score, lirs and w_tinylfu: not yet within 64 bytes" * doctest::should_fail()) {
  for_every_rule([](Eviction rule, Shape shape, bool scope_layer) {
    if (!is_large(rule)) return;
    CAPTURE(static_cast<uint32_t>(rule));
    CAPTURE(shape.num_layers);
    CAPTURE(scope_layer);
    CHECK(bytes_per_expert(params_of(shape, rule, scope_layer, 100)) <= kMost);
  });
}
