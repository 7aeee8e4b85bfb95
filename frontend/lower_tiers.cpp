// SPDX-License-Identifier: Apache-2.0
// tiers { tier NAME { ... }  promote A -> B when E  demote B -> A on evict  precision = by (E) [ ... ] }
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "frontend/limits.h"
#include "frontend/lower_expr.h"
#include "frontend/lower_shared.h"
#include "frontend/text.h"
#include "ir/print_value.h"

namespace moe::frontend {
namespace {

constexpr size_t kMaxTiers = 16;
constexpr int kNumLocations = static_cast<int>(ir::Location::disk) + 1;

bool is_grouped(ir::Dtype dtype) {
  return dtype == ir::Dtype::int8 || dtype == ir::Dtype::int4 || dtype == ir::Dtype::int2;
}

class TiersLowering {
 public:
  explicit TiersLowering(const CheckContext& context) : context_(context), diagnostics_(context.diagnostics) {}

  ir::TiersRule lower(const ast::Block& block) {
    read_keys(check_block(context_, block, *find_block("tiers")), block);
    for (const ast::Item& item : block.items) {
      const auto* tier = std::get_if<ast::Block>(&item.node);
      if (tier == nullptr || tier->name.text != "tier" || too_many(diagnostics_)) continue;
      if (out_.tiers.size() == kMaxTiers) {
        error("MOE2119", tier->name.span, fmt::format("more than {} tiers", kMaxTiers));
        break;
      }
      lower_tier(*tier);
    }
    if (names_.empty() && !block.broken && !block.items.empty()) {
      error("MOE2119", block.name.span, "`tiers` has no tier", "write `tier fast { location = gpu  capacity = 25% }`");
    }
    for (const ast::Item& item : block.items) {
      if (too_many(diagnostics_)) break;
      if (const auto* move = std::get_if<ast::Move>(&item.node)) lower_move(*move);
    }
    check_sizes();
    return std::move(out_);
  }

 private:
  void error(std::string_view code, ir::SourceSpan span, std::string message, std::string hint = "") {
    diagnostics_.error(code, span, std::move(message), std::move(hint));
  }
  void warn_unread(const BlockValues& values, std::string_view key, std::string_view reader) {
    diagnostics_.warning("MOE2022", values.find(key)->key_span, fmt::format("nothing reads {} here", quote(key)),
                         fmt::format("remove it: {}", reader));
  }

  void read_keys(const BlockValues& values, const ast::Block& block) {
    out_.span = block.span;
    values.read("inclusive", out_.inclusive);
    values.read("direct", out_.direct);
    if (const auto* eviction = values.get<ir::EvictionRule>("eviction")) {
      out_.eviction = {*eviction, values.find("eviction")->span};
      check_lower_eviction(*out_.eviction);
    }
    if (const auto* ladder = values.get<ir::Ladder>("precision")) {
      out_.precision = {*ladder, values.find("precision")->span};
    }
  }

  // Scores, shares and segments are kept of what the cache holds.
  void check_lower_eviction(const ir::Sourced<ir::EvictionRule>& rule) {
    if (ir::rules_lower_tiers(rule.value)) return;
    error("MOE2172", rule.span, fmt::format("the tiers below the first cannot go by {}", quote(ir::print(rule.value))),
          "write `lru`, `lfu`, `fifo`, a queue rule such as `s3_fifo`, or `least(E)`");
  }

  void lower_tier(const ast::Block& block) {
    const BlockValues values = check_block(context_, block, *find_block("tier"));
    ir::Tier tier;
    tier.span = block.span;
    if (block.label) {
      if (!declare(*block.label)) return;
      tier.name = {block.label->text, block.label->span};
    }
    values.read_word("location", tier.location, kNumLocations);
    values.read_word("dtype", tier.dtype, ir::kNumDtypes);
    if (const auto* capacity = values.get<ir::Capacity>("capacity")) {
      tier.capacity = {*capacity, values.find("capacity")->span};
    }
    tier.pinned.value = tier.location.value == ir::Location::host;
    values.read("pinned", tier.pinned);
    values.read("group_size", tier.group_size);
    if (const Typed* path = values.get<Typed>("path")) {
      tier.path = {std::string(path->word), values.find("path")->span};
    }
    if (tier.location.span.is_default()) {
      if (values.find("location") == nullptr && !block.broken) {
        error("MOE2119", block.name.span, "the tier has no `location`", "write `location = gpu`, `host` or `disk`");
      }
      return;
    }
    check_order(tier);
    check_reads(values, tier);
    if (block.label) out_.tiers.push_back(std::move(tier));
  }

  bool declare(const ast::Name& name) {
    const auto [first, inserted] = names_.emplace(name.text, name.span);
    if (inserted) return true;
    auto& twice = diagnostics_.error("MOE2007", name.span, fmt::format("two tiers are called {}", quote(name.text)),
                                     "rename one");
    twice.related_span = first->second;
    twice.related_message = "the first is here";
    return false;
  }

  void check_order(const ir::Tier& tier) {
    if (tier.location.value < slowest_) {
      error("MOE2116", tier.location.span,
            fmt::format("a tier in {} stands after a slower one", quote(to_word(tier.location.value))),
            "write tiers fastest first: gpu, host, disk");
    }
    slowest_ = std::max(slowest_, tier.location.value);
  }

  void check_reads(const BlockValues& values, const ir::Tier& tier) {
    if (!tier.pinned.span.is_default() && tier.pinned.value && tier.location.value != ir::Location::host) {
      warn_unread(values, "pinned", "only memory of the host can be pinned");
    }
    if (!tier.path.span.is_default() && tier.location.value != ir::Location::disk) {
      warn_unread(values, "path", "it says where on disk a tier is");
    }
    if (tier.group_size.value != ir::Tier{}.group_size.value && !is_grouped(tier.dtype.value)) {
      warn_unread(values, "group_size", "it belongs to int8, int4 and int2");
    }
  }

  // ---- moves

  std::optional<size_t> find_tier(const ast::Name& name) {
    for (size_t i = 0; i < out_.tiers.size(); ++i) {
      if (out_.tiers[i].name.value == name.text) return i;
    }
    if (names_.empty() || names_.contains(name.text)) return std::nullopt;  // reported with the tiers
    std::vector<std::string_view> known;
    for (const auto& [tier, span] : names_) known.push_back(tier);
    error("MOE2013", name.span, fmt::format("there is no tier {}", quote(name.text)),
          suggest(name.text, known, "tiers are " + list_words(known, "and")));
    return std::nullopt;
  }

  void lower_move(const ast::Move& move) {
    const std::optional<size_t> from = find_tier(move.from);
    const std::optional<size_t> to = find_tier(move.to);
    ir::Move lowered;
    lowered.promote = move.verb.text == "promote";
    lowered.from = {move.from.text, move.from.span};
    lowered.to = {move.to.text, move.to.span};
    lowered.span = move.span;
    bool good = from && to;
    if (move.condition) {
      std::optional<ir::Expr> condition = lower_condition(context_, *move.condition, kEvictPlace);
      good = good && condition;
      if (condition) {
        check_constant_condition(context_, *condition, *move.condition);
        lowered.condition = std::move(*condition);
      }
    }
    if (move.event && move.event->text != "evict") {
      error("MOE2003", move.event->span, fmt::format("there is no event {}", quote(move.event->text)),
            "write `on evict`");
      good = false;
    }
    if (move.from.text == move.to.text) {
      error("MOE2119", move.span, fmt::format("{} goes from a tier to itself", quote(move.verb.text)));
      return;
    }
    if (!from || !to || !check_direction(move, *from, *to) || !check_repeat(move) || !good) return;
    out_.moves.push_back(std::move(lowered));
  }

  bool check_direction(const ast::Move& move, size_t from, size_t to) {
    const bool promote = move.verb.text == "promote";
    if (promote == (to < from)) return true;
    error("MOE2164", move.span,
          fmt::format("{} goes to the {} tier, {} to {}", quote(move.verb.text), promote ? "slower" : "faster",
                      quote(move.from.text), quote(move.to.text)),
          fmt::format("write `{} {} -> {}`", move.verb.text, move.to.text, move.from.text));
    return false;
  }

  // One move of each kind between two tiers; and what a tier evicts can go to one other only.
  bool check_repeat(const ast::Move& move) {
    const bool on_evict = move.event.has_value();
    const std::string key =
        on_evict ? "evict " + move.from.text : fmt::format("{} {} {}", move.verb.text, move.from.text, move.to.text);
    const auto [first, inserted] = moves_.emplace(key, move.span);
    if (inserted) return true;
    auto& twice =
        diagnostics_.error("MOE2006", move.span,
                           on_evict ? fmt::format("what {} evicts has a place to go already", quote(move.from.text))
                                    : fmt::format("this {} stands twice", quote(move.verb.text)),
                           on_evict ? "remove one" : "join the two conditions with `or`");
    twice.related_span = first->second;
    twice.related_message = "the first is here";
    return false;
  }

  // A tier that keeps what the faster ones hold is no smaller than the one above it. Compared where both are written in
  // the same measure.
  void check_sizes() {
    if (!out_.inclusive.value) return;
    for (size_t i = 1; i < out_.tiers.size(); ++i) {
      const auto& upper = out_.tiers[i - 1].capacity;
      const auto& lower = out_.tiers[i].capacity;
      if (!upper || !lower || upper->value.kind != lower->value.kind) continue;
      const bool bytes = upper->value.kind == ir::Capacity::Kind::bytes;
      if (bytes && out_.tiers[i - 1].dtype.value != out_.tiers[i].dtype.value) continue;
      if (lower->value.amount >= upper->value.amount && lower->value.ratio >= upper->value.ratio) continue;
      auto& error = diagnostics_.error("MOE2168", lower->span, "an inclusive tier is smaller than the one above it",
                                       "raise `capacity`, or write `inclusive = false`");
      error.related_span = upper->span;
      error.related_message = "the one above is this large";
    }
  }

  const CheckContext& context_;
  ir::Diagnostics& diagnostics_;
  ir::TiersRule out_;
  std::map<std::string, ir::SourceSpan, std::less<>> names_;
  std::map<std::string, ir::SourceSpan> moves_;
  ir::Location slowest_ = ir::Location::gpu;
};

}  // namespace

ir::TiersRule lower_tiers(const CheckContext& context, const ast::Block& block) {
  const size_t errors_before = context.diagnostics.num_errors();
  ir::TiersRule tiers = TiersLowering(context).lower(block);
  if (context.diagnostics.num_errors() == errors_before) check_tier_flow(tiers, context.diagnostics);
  return tiers;
}

}  // namespace moe::frontend
