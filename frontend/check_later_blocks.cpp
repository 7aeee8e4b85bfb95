// SPDX-License-Identifier: Apache-2.0
// per_layer and memory: mistakes in them are found although the blocks are not supported yet.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/limits.h"
#include "frontend/lower.h"
#include "frontend/text.h"

namespace moe::frontend {
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

}  // namespace moe::frontend
