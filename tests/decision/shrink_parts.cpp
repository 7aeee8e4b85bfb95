// SPDX-License-Identifier: Apache-2.0
// What a smaller case is made of: a text without a statement, a trace over a smaller shape.
#include <algorithm>
#include <sstream>
#include <utility>

#include "frontend/format.h"
#include "tests/decision/shrink.h"

namespace moe::test {
namespace {

size_t indent_of(const std::string& line) { return std::min(line.find_first_not_of(' '), line.size()); }

/// Drops what `goes(column)` says of each row.
template <class T, class Goes>
void drop_columns(std::vector<T>& rows, uint32_t width, Goes goes) {
  std::vector<T> kept;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!goes(static_cast<uint32_t>(i % width))) kept.push_back(rows[i]);
  }
  rows = std::move(kept);
}

/// False: the dispatch uses an expert or a layer that is not there.
bool fit(RandomDispatch& d, const ir::ModelShape& before, const ir::ModelShape& after) {
  if (d.layer >= after.num_layers) return false;
  const auto not_selected = [&](uint32_t column) { return column >= after.top_k; };
  drop_columns(d.ids, before.top_k, not_selected);
  drop_columns(d.weights, before.top_k, not_selected);
  const auto is_gone = [&](int32_t id) {  // what was invalid before stays so
    return id >= static_cast<int32_t>(after.num_experts) && id < static_cast<int32_t>(before.num_experts);
  };
  if (std::any_of(d.ids.begin(), d.ids.end(), is_gone)) return false;
  drop_columns(d.probabilities, before.num_experts, [&](uint32_t column) { return column >= after.num_experts; });
  std::vector<uint32_t> dropped;
  for (const uint32_t key : d.dropped) {
    const uint32_t layer = key / before.num_experts, expert = key % before.num_experts;
    if (layer < after.num_layers && expert < after.num_experts) dropped.push_back(layer * after.num_experts + expert);
  }
  d.dropped = std::move(dropped);
  std::erase_if(d.hints, [&](const RandomDispatch::Hint& hint) { return hint.layer >= after.num_layers; });
  for (RandomDispatch::Hint& hint : d.hints) {
    RandomDispatch::Hint kept{hint.layer, {}, {}};
    for (size_t i = 0; i < hint.ids.size(); ++i) {
      if (hint.ids[i] >= after.num_experts && hint.ids[i] < before.num_experts) continue;
      kept.ids.push_back(hint.ids[i]);
      kept.probabilities.push_back(hint.probabilities[i]);
    }
    hint = std::move(kept);
  }
  return true;
}

}  // namespace

std::string Statements::without(size_t statement) const {
  std::string text;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i < spans[statement].first || i >= spans[statement].second) text += lines[i] + "\n";
  }
  return text;
}

Statements statements_of(const std::string& source) {
  Statements found;
  ir::Diagnostics diagnostics;
  std::istringstream in(frontend::format_source(ir::SourceFile("random.moe", source), diagnostics).value_or(source));
  for (std::string line; std::getline(in, line);) found.lines.push_back(line);
  for (size_t i = 0; i < found.lines.size(); ++i) {
    const size_t indent = indent_of(found.lines[i]);
    if (indent == found.lines[i].size() || found.lines[i][indent] == '}') continue;
    // What a statement holds, or goes on with, stands further in.
    size_t end = i + 1;
    while (end < found.lines.size() && indent_of(found.lines[end]) > indent) ++end;
    if (end < found.lines.size() && indent_of(found.lines[end]) == indent && found.lines[end][indent] == '}') ++end;
    found.spans.emplace_back(i, end);
  }
  return found;
}

Case with_shape(const Case& of, const ir::ModelShape& shape) {
  Case smaller = of;
  smaller.shape = shape;
  smaller.steps.clear();
  for (Step step : of.steps) {
    if (step.swap_to || fit(step.dispatch, of.shape, shape)) smaller.steps.push_back(std::move(step));
  }
  return smaller;
}

Case with_single_selections(const Case& of) {
  Case single = of;
  single.shape.top_k = 1;
  const uint32_t k = of.shape.top_k;
  const auto repeat = [k](auto& rows, uint32_t width) {
    auto all = std::exchange(rows, {});
    for (size_t i = 0; i < all.size() * k; ++i) rows.push_back(all[i / (size_t{width} * k) * width + i % width]);
  };
  for (Step& step : single.steps) {
    if (step.swap_to) continue;
    step.dispatch.num_tokens *= k;
    repeat(step.dispatch.requests, 1);
    repeat(step.dispatch.probabilities, of.shape.num_experts);
  }
  return single;
}

}  // namespace moe::test
