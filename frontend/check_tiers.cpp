// SPDX-License-Identifier: Apache-2.0
// tiers { tier NAME { ... }  promote A -> B when E  demote B -> A on evict  precision = by (E) [ ... ] }
#include <fmt/format.h>

#include <algorithm>

#include "frontend/limits.h"
#include "frontend/lower.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

constexpr std::string_view kLocations = "gpu host disk";  // fastest first

class TiersChecker {
 public:
  explicit TiersChecker(const CheckContext& context) : context_(context) {}

  void check(const ast::Block& block) {
    for (const ast::Item& item : block.items) {
      if (too_many(context_.diagnostics)) break;
      const auto* tier = std::get_if<ast::Block>(&item.node);
      if (tier != nullptr && tier->name.text == "tier") check_tier(*tier);
    }
    if (names_.empty() && !block.broken && !block.items.empty()) {
      context_.diagnostics.error("MOE2119", block.name.span, "`tiers` has no tier",
                                 "write `tier fast { location = gpu  capacity = 25% }`");
    }
    for (const ast::Item& item : block.items) {
      if (too_many(context_.diagnostics)) break;
      if (const auto* move = std::get_if<ast::Move>(&item.node)) check_move(*move);
    }
  }

 private:
  void check_tier(const ast::Block& tier) {
    const BlockValues values = check_block(context_, tier, *find_block("tier"));
    if (tier.label) declare(*tier.label);
    const Typed* location = values.get<Typed>("location");
    if (location == nullptr) {
      if (values.find("location") == nullptr && !tier.broken) {
        context_.diagnostics.error("MOE2119", tier.name.span, "the tier has no `location`",
                                   "write `location = gpu`, `host` or `disk`");
      }
      return;
    }
    const std::vector<std::string_view> order = split_words(kLocations);
    const auto rank = std::find(order.begin(), order.end(), location->word) - order.begin();
    if (rank < slowest_) {
      context_.diagnostics.error("MOE2116", values.find("location")->span,
                                 fmt::format("a tier in {} stands after a slower one", quote(location->word)),
                                 "write tiers fastest first: gpu, host, disk");
    }
    slowest_ = std::max(slowest_, rank);
  }

  void declare(const ast::Name& name) {
    const auto first =
        std::find_if(names_.begin(), names_.end(), [&](const ast::Name* n) { return n->text == name.text; });
    if (first != names_.end()) {
      auto& twice = context_.diagnostics.error("MOE2007", name.span,
                                               fmt::format("two tiers are called {}", quote(name.text)), "rename one");
      twice.related_span = (*first)->span;
      twice.related_message = "the first is here";
      return;
    }
    names_.push_back(&name);
  }

  void check_move(const ast::Move& move) {
    expect_tier(move.from);
    expect_tier(move.to);
    if (move.from.text == move.to.text) {
      context_.diagnostics.error("MOE2119", move.span,
                                 fmt::format("{} goes from a tier to itself", quote(move.verb.text)));
    }
    if (move.condition) check_condition(context_, *move.condition, kEvictPlace);
    if (move.event && move.event->text != "evict") {
      context_.diagnostics.error("MOE2003", move.event->span,
                                 fmt::format("there is no event {}", quote(move.event->text)), "write `on evict`");
    }
  }

  void expect_tier(const ast::Name& name) {
    std::vector<std::string_view> known;
    for (const ast::Name* tier : names_) known.push_back(tier->text);
    if (known.empty() || std::find(known.begin(), known.end(), std::string_view(name.text)) != known.end()) return;
    context_.diagnostics.error("MOE2013", name.span, fmt::format("there is no tier {}", quote(name.text)),
                               suggest(name.text, known, "tiers are " + list_words(known, "and")));
  }

  const CheckContext& context_;
  std::vector<const ast::Name*> names_;
  ptrdiff_t slowest_ = 0;
};

}  // namespace

void check_tiers(const CheckContext& context, const ast::Block& block) {
  check_block(context, block, *find_block("tiers"));
  TiersChecker(context).check(block);
}

}  // namespace moe::frontend
