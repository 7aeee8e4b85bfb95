// SPDX-License-Identifier: Apache-2.0
// per_layer, memory, layers and phase: mistakes in them are found although the blocks are not supported yet.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/limits.h"
#include "frontend/lower.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

// Blocks inside a band or a phase: overrides, so nothing is required in them.
void check_inner_blocks(const CheckContext& context, const ast::Block& outer, const BlockSpec& spec) {
  check_block(context, outer, spec);
  std::vector<const ast::Block*> seen;
  for (const ast::Item& item : outer.items) {
    const auto* inner = std::get_if<ast::Block>(&item.node);
    if (inner == nullptr || !contains_word(spec.inner_blocks, inner->name.text)) continue;
    const auto first =
        std::find_if(seen.begin(), seen.end(), [&](const ast::Block* b) { return b->name.text == inner->name.text; });
    if (first != seen.end()) {
      auto& twice =
          context.diagnostics.error("MOE2007", inner->name.span,
                                    fmt::format("the block {} stands twice", quote(inner->name.text)), "join the two");
      twice.related_span = (*first)->name.span;
      twice.related_message = "the first is here";
    }
    seen.push_back(inner);
    if (too_many(context.diagnostics)) break;
    if (inner->name.text == "tiers") {
      check_tiers(context, *inner);
      continue;
    }
    const BlockValues values = check_block(context, *inner, *find_block(inner->name.text));
    if (inner->name.text == "schedule") check_on_miss(context, *inner, values);
  }
}

struct Band {
  double first = 0;
  double last = 0;
  ir::SourceSpan span;
};

}  // namespace

void check_per_layer(const CheckContext& context, const ast::Block& block, const BlockValues& cache) {
  const BlockValues values = check_block(context, block, *find_block("per_layer"));
  const Typed* least = values.get<Typed>("min_capacity");
  const Typed* most = values.get<Typed>("max_capacity");
  const double low = least != nullptr ? least->number : 2;
  const double high = most != nullptr ? most->number : 64;
  if (low > high) {
    const std::string_view key = least != nullptr ? "min_capacity" : "max_capacity";
    context.diagnostics.error(
        "MOE2109", values.find(key)->span,
        fmt::format("`min_capacity` is {} and `max_capacity` {}", number_text(low), number_text(high)),
        "the least cannot be above the most");
  }
  const Typed* scope = cache.get<Typed>("scope");
  if (scope != nullptr && scope->word == "global") {
    context.diagnostics.error("MOE2117", cache.find("scope")->span, "`per_layer` gives each layer its own cache",
                              "write `scope = layer`, or remove `per_layer`");
  }
}

void check_memory(const CheckContext& context, const ast::File& file, const ast::Block& block) {
  const BlockValues values = check_block(context, block, *find_block("memory"));
  const Typed* warn = values.get<Typed>("warn");
  const Typed* shed = values.get<Typed>("shed");
  if (warn != nullptr && shed != nullptr && warn->number > shed->number) {
    context.diagnostics.error("MOE2109", values.find("warn")->span, "`warn` is above `shed`", "warn before shedding");
  }
  for (const ast::Item& item : block.items) {
    const auto* event = std::get_if<ast::Block>(&item.node);
    if (event != nullptr && event->name.text == "on") check_actions(context, file, event->items);
  }
}

void check_layers(const CheckContext& context, const ast::Policy& policy) {
  std::vector<Band> bands;
  for (const ast::Block& block : policy.blocks) {
    if (block.name.text != "layers" || too_many(context.diagnostics)) continue;
    check_inner_blocks(context, block, *find_block("layers"));
    if (!block.band) {
      context.diagnostics.error("MOE2020", block.name.span, "`layers` needs a range before `{`",
                                "write `layers 0..3 { ... }`");
      continue;
    }
    const ast::Expr& range = context.exprs[*block.band];
    const auto first = check_count(context, context.exprs.operands_of(range)[0], 0, "a layer");
    const auto last = check_count(context, context.exprs.operands_of(range)[1], 0, "a layer");
    if (!first || !last) continue;
    if (*first > *last) {
      context.diagnostics.error("MOE2005", range.span, "the range of layers is empty", "write the lower layer first");
      continue;
    }
    bands.push_back({*first, *last, range.span});
  }
  std::stable_sort(bands.begin(), bands.end(), [](const Band& a, const Band& b) { return a.first < b.first; });
  for (size_t i = 1; i < bands.size(); ++i) {
    if (too_many(context.diagnostics)) break;
    if (bands[i].first > bands[i - 1].last) continue;
    auto& error =
        context.diagnostics.error("MOE2120", bands[i].span, "two bands of layers overlap", "make them disjoint");
    error.related_span = bands[i - 1].span;
    error.related_message = "the other band is here";
  }
}

void check_phase(const CheckContext& context, const ast::Block& block) {
  check_inner_blocks(context, block, *find_block("phase"));
}

}  // namespace moe::frontend
